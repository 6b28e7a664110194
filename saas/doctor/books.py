"""Whether the books balance, and what is kept beside them and beside usage agrees."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from saas.doctor.findings import Finding, failed, good
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.models import LedgerTransaction
from tenants.ledger.selectors import unbalanced
from tenants.usage.periods import Difference, projection_differences

_SHOWN = 3


def books_check() -> Iterator[Finding]:
    """Every transaction sums to zero; wallets, grants, holds and budgets say what it says."""
    with system_scope():
        count = LedgerTransaction.objects.count()
        off, wrong = unbalanced(), projections_wrong()
    if off:
        yield failed(
            "books",
            f"{len(off)} transactions do not balance: {_first(off)}",
            "somebody wrote around the ledger's functions: compare with the last backup",
        )
    if wrong:
        yield failed(
            "wallets",
            f"{len(wrong)} differ from the books: {_first(wrong)}",
            "the postings are right; stop charging and see docs/decisions/0010-ledger.md",
        )
    if not off and not wrong:
        yield good("books", f"{count} transactions balance, wallets and budgets agree")


def usage_check() -> Iterator[Finding]:
    """The sums by hour of this month and the last are those of their events."""
    last_month = (now().replace(day=1) - dt.timedelta(days=1)).replace(day=1)
    since = last_month.replace(hour=0, minute=0, second=0, microsecond=0)
    with system_scope():
        off = projection_differences(since=since)
    if off:
        yield failed(
            "usage",
            f"{len(off)} sums by hour differ from their events: {_first(list(map(_told, off)))}",
            "the events are right; somebody wrote around the trigger: compare with the last backup",
        )
    else:
        yield good("usage", f"the sums by hour since {since:%Y-%m-%d} are those of their events")


def _told(off: Difference) -> str:
    where = f"{off.meter} of {off.tenant_id} at {off.hour:%Y-%m-%dT%H}"
    return f"{where} is {off.summed}, its events {off.counted}"


def _first(found: Sequence[str]) -> str:
    more = ", …" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more
