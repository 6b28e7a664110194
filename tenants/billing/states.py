"""The states of statements and invoices, and the moves between them. One truth for all."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import TextChoices

from tenants.kernel.errors import Conflict


class StatementState(TextChoices):
    OPEN = "open"  # the period runs
    GRACE = "grace"  # the period is over; late events still land on it
    FINAL = "final"  # frozen; never changes again


class InvoiceState(TextChoices):
    DRAFT = "draft"  # of a statement in grace: no number, nothing owed yet
    OPEN = "open"  # numbered and owed
    PAID = "paid"  # nothing is left to pay
    UNCOLLECTIBLE = "uncollectible"  # written off; a late payment still makes it paid
    VOID = "void"  # taken back in full before anything was paid


STATEMENT_MOVES: Mapping[str, frozenset[str]] = {
    StatementState.OPEN: frozenset({StatementState.GRACE}),
    StatementState.GRACE: frozenset({StatementState.FINAL}),
    StatementState.FINAL: frozenset(),
}
INVOICE_MOVES: Mapping[str, frozenset[str]] = {
    InvoiceState.DRAFT: frozenset({InvoiceState.OPEN}),
    InvoiceState.OPEN: frozenset(
        {InvoiceState.PAID, InvoiceState.UNCOLLECTIBLE, InvoiceState.VOID}
    ),
    InvoiceState.UNCOLLECTIBLE: frozenset({InvoiceState.PAID}),
    InvoiceState.PAID: frozenset(),
    InvoiceState.VOID: frozenset(),
}
PAYABLE = frozenset({InvoiceState.OPEN, InvoiceState.UNCOLLECTIBLE})


def require_statement_move(old: str, new: str) -> None:
    """Raises Conflict for a move that no statement makes."""
    _require(STATEMENT_MOVES, "statement", old, new)


def require_invoice_move(old: str, new: str) -> None:
    """Raises Conflict for a move that no invoice makes."""
    _require(INVOICE_MOVES, "invoice", old, new)


def _require(moves: Mapping[str, frozenset[str]], what: str, old: str, new: str) -> None:
    if new not in moves[old]:
        allowed = ", ".join(sorted(moves[old])) or "nothing: that state is final"
        raise Conflict(
            f"a {what} that is {old} cannot become {new}; it may become {allowed}",
            code=f"{what}_{old}",
        )
