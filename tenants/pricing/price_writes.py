"""The price guard: whatever is written inside `price_guard` brings no effective price below its
floor, unless an override or a loss budget allows it.

It compares who pays what before and after, so it need not know what was written: a price, a
discount, a plan, credit. One writer at a time passes (an advisory lock), for a discount here and a
list price there may each be fine and both together not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tenants.kernel.locks import AdvisoryLock, advisory_lock
from tenants.pricing.guard import refuse
from tenants.pricing.permissions import system_only
from tenants.pricing.selectors.guarding import Guarded, Standing


def prices_lock() -> None:
    """Wait until nobody else writes prices, and keep others from it until the transaction ends."""
    system_only()
    advisory_lock(AdvisoryLock.PRICES, "")


@contextmanager
def price_guard(*, book_id: str = "", tenant_id: str = "") -> Iterator[None]:
    """Guard what is written inside: to one book, or to one tenant's terms (system scope).

    A price that has come to lie below its floor, and that the write leaves as it is, passes; one
    that a permit allows, as long as the permit holds. Raises
    InvalidInput(code="price_below_floor"), with the arithmetic; what was written must then be
    rolled back, as a scope does.
    """
    prices_lock()
    guarded = Guarded(book_id=book_id, tenant_id=tenant_id, ahead=True, strict=True)
    before = {standing.price for standing in _below(guarded) if not standing.permit}
    yield
    refuse([s.price for s in _below(guarded) if not s.permit and s.price not in before])


def _below(guarded: Guarded) -> list[Standing]:
    return [standing for standing in guarded.standing() if standing.price.is_below]
