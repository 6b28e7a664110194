"""Credit notes: part or all of an invoice given back. System scope."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.billing.books import CREDIT_NOTE, GivenBack, credit_note, postings
from tenants.billing.crediting import Note, note_of
from tenants.billing.events import CreditNoteIssued, InvoicePaid
from tenants.billing.locks import invoice_locked
from tenants.billing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine
from tenants.billing.numbers import CREDIT_NOTE as SERIES
from tenants.billing.numbers import number_next
from tenants.billing.operators import operators_only
from tenants.billing.selectors.crediting import (
    jurisdiction_of,
    lines_left,
    standing_of,
    took_the_rest,
)
from tenants.billing.services.refunds import cash_available, refunds_make
from tenants.billing.services.shares import shares_credited
from tenants.billing.states import InvoiceState, require_invoice_move
from tenants.kernel.clock import now as clock_now
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.outbox import emit
from tenants.ledger.chart import GrantKind
from tenants.ledger.services import grant_issue, transaction_post

ZERO = Decimal(0)


def credit_note_issue(
    *,
    actor: Actor,
    invoice_id: str,
    key: str,
    reason: str,
    to: str,
    lines: Mapping[str, Decimal] | None = None,
    now: dt.datetime | None = None,
    closes: InvoiceState = InvoiceState.PAID,
) -> CreditNote:
    """Give back `lines` (line id → net; None: all that is left) of an invoice.

    What is still owed goes first; what was paid goes `to` the payer or the wallet; what credit
    paid becomes credit again. `key` is the caller's: a repeated one returns the first note.
    `closes`: what the invoice becomes once nothing is left to pay.
    Raises PermissionDenied, NotFound, Conflict (also for a key of another note), InvalidInput for
    more than is left or was paid.
    """
    operators_only(actor)
    invoice = invoice_locked(invoice_id, of=actor)
    known = CreditNote.objects.filter(tenant_id=invoice.tenant_id, key=key).first()
    if known is not None:
        return _same(known, invoice, reason, to, lines)
    _check(invoice, to, reason)
    chosen = _chosen(invoice, lines)
    note = note_of(standing_of(invoice), sum(chosen.values(), ZERO))
    cash = _cash(invoice, note, to)
    row = _written(invoice, chosen, note, key=key, reason=reason, to=to, at=now or clock_now())
    row.transactions = [_post(invoice, row, chosen, note.parts, cash), *_grants(row, note.parts)]
    row.save(update_fields=["transactions"])
    shares_credited(tenant_id=row.tenant_id, invoice=invoice, credit_note=row, lines=chosen)
    if cash:
        refunds_make(tenant_id=row.tenant_id, invoice=invoice, credit_note=row, cash=cash)
    _reduce(invoice, note.parts.owed, row.issued_at, closes)
    audit_record(actor=actor, action="credit_note.issue", target=row.id, data={"reason": reason})
    emit(_told(row, invoice))
    return row


def _same(
    known: CreditNote,
    invoice: Invoice,
    reason: str,
    to: str,
    lines: Mapping[str, Decimal] | None,
) -> CreditNote:
    """The note that this key made. Raises Conflict where it was asked for anything else."""
    given = dict(known.lines.values_list("invoice_line_id", "net"))
    same_lines = took_the_rest(known) if lines is None else given == dict(lines)
    same = (known.invoice_id, known.reason, known.to) == (invoice.id, reason.strip(), to)
    if not (same and same_lines):
        raise Conflict(
            f"this key stands for the credit note {known} over {known.net:f} of the invoice "
            f"{known.invoice}, {known.reason!r}, to the {known.to}; another one needs a new key",
            param="key",
            code="key_reused",
        )
    return known


def _check(invoice: Invoice, to: str, reason: str) -> None:
    if to not in CreditNote.To.values:
        raise InvalidInput(f"a note goes to {', '.join(CreditNote.To.values)}", param="to")
    if not 1 <= len(reason.strip()) <= 300:
        raise InvalidInput("say why, in 1 to 300 characters", param="reason")
    if invoice.kind != Invoice.Kind.USAGE:
        raise Conflict("a top-up is given back by refunding its payment", code="invoice_top_up")
    if invoice.state not in {InvoiceState.OPEN, InvoiceState.PAID}:
        raise Conflict(
            f"the invoice {invoice} is {invoice.state}; only open and paid ones are credited",
            code=f"invoice_{invoice.state}",
        )


def _chosen(invoice: Invoice, lines: Mapping[str, Decimal] | None) -> dict[InvoiceLine, Decimal]:
    left = lines_left(invoice)
    if lines is None:
        return {line: net for line, net in left.items() if net}
    by_id = {line.id: line for line in left}
    if unknown := sorted(lines.keys() - by_id.keys()):
        raise InvalidInput(f"{invoice} has no line {', '.join(unknown)}", param="lines")
    for line_id, net in lines.items():
        most = left[by_id[line_id]]
        if not 0 < net <= most:
            raise InvalidInput(
                f"{net} of the line {line_id} is not above 0 and within the {most} left of it",
                param="lines",
                code="credit_note_amount",
            )
    return {by_id[line_id]: net for line_id, net in lines.items()}


def _cash(invoice: Invoice, note: Note, to: str) -> dict[str, Decimal]:
    """How much leaves through which provider. Raises InvalidInput for more than was paid."""
    if to == CreditNote.To.INVOICE and note.parts.paid:
        raise InvalidInput(
            f"only {note.parts.owed} {invoice.currency} are still owed; say whether the rest goes "
            "to the payer or the wallet",
            param="to",
            code="credit_note_amount",
        )
    if to != CreditNote.To.PAYER:
        return {}
    if not note.parts.paid or note.parts.prepaid or note.parts.untaxed or note.parts.promotion:
        raise InvalidInput(
            f"{note.parts.paid} {invoice.currency} of this were paid on the invoice; only that "
            "goes back to the payer, what credit paid goes back to the wallet",
            param="to",
            code="refund_above_paid",
        )
    return cash_available(invoice, note.parts.paid)


def _written(
    invoice: Invoice,
    chosen: Mapping[InvoiceLine, Decimal],
    note: Note,
    *,
    key: str,
    reason: str,
    to: str,
    at: dt.datetime,
) -> CreditNote:
    row: CreditNote = CreditNote.objects.create(
        id=new_id("cn_"),
        tenant_id=invoice.tenant_id,
        key=key,
        number=number_next(SERIES, at=at),
        invoice=invoice,
        reason=reason.strip(),
        to=to,
        net=note.net,
        tax=note.tax,
        total=note.total,
        parts={name: f"{amount:f}" for name, amount in asdict(note.parts).items()},
        issued_at=at,
    )
    CreditNoteLine.objects.bulk_create(
        CreditNoteLine(tenant_id=row.tenant_id, credit_note=row, invoice_line=line, net=net)
        for line, net in chosen.items()
    )
    return row


def _post(
    invoice: Invoice,
    row: CreditNote,
    chosen: Mapping[InvoiceLine, Decimal],
    parts: GivenBack,
    cash: Mapping[str, Decimal],
) -> str:
    revenue: dict[str, Decimal] = {}
    for line, net in chosen.items():
        revenue[line.revenue] = revenue.get(line.revenue, ZERO) + net
    entries = credit_note(
        revenue=revenue,
        tax=row.tax,
        jurisdiction=jurisdiction_of(invoice),
        parts=parts,
        cash=cash,
    )
    return transaction_post(
        tenant_id=row.tenant_id,
        key=f"credit_note:{row.id}",
        kind="credit_note",
        postings=postings(entries, invoice.currency),
        occurred_at=row.issued_at,
        data={"credit_note": row.number, "invoice": invoice.number},
    )


def _grants(row: CreditNote, parts: GivenBack) -> list[str]:
    """What becomes credit again: paid, paid with its tax in it, promotional."""
    paid = parts.prepaid + (parts.paid if row.to == CreditNote.To.WALLET else ZERO)
    wanted = (
        ("paid", GrantKind.PAID, paid, False),
        ("untaxed", GrantKind.PAID, parts.untaxed, True),
        ("promotion", GrantKind.PROMOTION, parts.promotion, False),
    )
    return [
        grant_issue(
            tenant_id=row.tenant_id,
            key=f"credit_note:{row.id}:{name}",
            kind=kind,
            amount=Money(amount, row.invoice.currency),
            source=f"{CREDIT_NOTE}:{row.number}",
            tax_included=tax_included,
        )
        for name, kind, amount, tax_included in wanted
        if amount
    ]


def _reduce(invoice: Invoice, owed: Decimal, at: dt.datetime, closes: InvoiceState) -> None:
    """Less is left to pay of an open invoice."""
    if invoice.state != InvoiceState.OPEN:
        return
    invoice.credited += owed
    if invoice.remaining == 0:
        require_invoice_move(invoice.state, closes)
        invoice.state = closes
        if closes == InvoiceState.PAID:
            invoice.paid_at = at
            emit(InvoicePaid(invoice.tenant_id, invoice_id=invoice.id, number=invoice.number))
    invoice.save(update_fields=["credited", "state", "paid_at"])


def _told(row: CreditNote, invoice: Invoice) -> CreditNoteIssued:
    return CreditNoteIssued(
        tenant_id=row.tenant_id,
        invoice_id=invoice.id,
        credit_note_id=row.id,
        number=row.number,
        total=row.total,
        currency=invoice.currency,
        to=row.to,
    )
