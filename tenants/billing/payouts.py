"""What pays partners. The ledger says what may be paid; a payer moves it, and tells what it moved.

Partners' agreements and shares are not billing's: whoever accrues them posts `partner_pending` and,
after the hold period, `partner_available`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from django.utils.module_loading import import_string

from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import Money

PAYERS: Mapping[str, str] = {
    "manual": "tenants.billing.manual.payer.ManualPayer",
    "stripe": "tenants.billing.stripe.payer.StripePayer",
}


@dataclass(frozen=True)
class Part:
    """Part of a payout; with `payment_id`, out of what that customer's payment brought in."""

    amount: Money
    payment_id: str = ""


class Payer(Protocol):
    """One way to pay partners. Both methods only decide: what was decided is done later, once."""

    name: str

    def require_ready(self, tenant_id: str) -> None:
        """Raises Conflict where this partner cannot be paid yet, saying what is missing."""

    def payable(self, amount: Money) -> Money:
        """Return the largest amount up to `amount` that can be moved; the rest stays available."""

    def pay(self, tenant_id: str, parts: Sequence[Part], *, key: str) -> None:
        """Pay each part, once for each `key`."""

    def take_back(self, tenant_id: str, amount: Money, *, key: str) -> Money:
        """Try to get back what was paid out, the latest first; return how much is tried for."""


@cache
def payer_named(name: str) -> Payer:
    """Return a payer. Raises InvalidInput for an unknown one."""
    if name not in PAYERS:
        raise InvalidInput(f"unknown payer {name!r}; known are {', '.join(PAYERS)}", param="payer")
    made: Payer = import_string(PAYERS[name])()
    return made
