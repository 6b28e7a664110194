"""Whether the books balance, and what is kept beside them agrees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from saas.doctor.findings import Finding, failed, good
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.models import LedgerTransaction
from tenants.ledger.selectors import unbalanced

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


def _first(found: Sequence[str]) -> str:
    more = ", …" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more
