"""What happens to a final invoice: paid, written off, taken back. System scope."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.billing.books import postings, recovery, write_off
from tenants.billing.events import InvoicePaid, InvoiceVoided, InvoiceWrittenOff
from tenants.billing.locks import invoice_locked
from tenants.billing.models import CreditNote, Invoice
from tenants.billing.operators import operators_only, system_only
from tenants.billing.services.credit_notes import credit_note_issue
from tenants.billing.states import PAYABLE, InvoiceState, require_invoice_move
from tenants.kernel.clock import now as clock_now
from tenants.kernel.errors import Conflict
from tenants.kernel.money import Money
from tenants.kernel.outbox import emit
from tenants.ledger.services import payment_post, transaction_post


def invoice_settle(
    *, tenant_id: str, invoice: Invoice, amount: Decimal, key: str, source: str, at: dt.datetime
) -> str:
    """Post `amount`, at most what is left, of a locked invoice's payment; return the transaction.

    An invoice that was written off is owed again first. Raises Conflict for one that takes no
    payment.
    """
    system_only()
    require_payable(invoice)
    if invoice.state == InvoiceState.UNCOLLECTIBLE:
        transaction_post(
            tenant_id=tenant_id,
            key=f"{key}:recovery",
            kind="recovery",
            postings=postings(recovery(amount), invoice.currency),
            data={"invoice_id": invoice.id},
        )
    transaction = payment_post(
        tenant_id=tenant_id,
        key=key,
        amount=Money(amount, invoice.currency),
        source=source,
        data={"invoice_id": invoice.id, "invoice": invoice.number},
    )
    invoice.paid += amount
    if invoice.remaining == 0:
        invoice_mark_paid(tenant_id=tenant_id, invoice=invoice, at=at)
    invoice.save(update_fields=["paid", "state", "paid_at"])
    return transaction


def require_payable(invoice: Invoice) -> None:
    """Raises Conflict(code="invoice_<state>") for a draft, and for what is paid or void."""
    if invoice.state not in PAYABLE:
        raise Conflict(
            f"the invoice {invoice} is {invoice.state} and takes no payment",
            param="invoice_id",
            code=f"invoice_{invoice.state}",
        )


def invoice_mark_paid(*, tenant_id: str, invoice: Invoice, at: dt.datetime) -> None:
    """Nothing is left to pay (the caller saves the row)."""
    require_invoice_move(invoice.state, InvoiceState.PAID)
    invoice.state = InvoiceState.PAID
    invoice.paid_at = at
    emit(InvoicePaid(tenant_id=tenant_id, invoice_id=invoice.id, number=invoice.number))


def invoice_write_off(*, actor: Actor, invoice_id: str) -> Invoice:
    """Give up what is left to pay: it becomes bad debt. A late payment is still taken.

    Raises PermissionDenied, NotFound, Conflict unless the invoice is open.
    """
    operators_only(actor)
    invoice = invoice_locked(invoice_id, of=actor)
    require_invoice_move(invoice.state, InvoiceState.UNCOLLECTIBLE)
    amount = invoice.remaining
    transaction_post(
        tenant_id=invoice.tenant_id,
        key=f"write_off:{invoice.id}",
        kind="write_off",
        postings=postings(write_off(amount), invoice.currency),
        data={"invoice_id": invoice.id},
    )
    invoice.state = InvoiceState.UNCOLLECTIBLE
    invoice.save(update_fields=["state"])
    audit_record(actor=actor, action="invoice.write_off", target=invoice.id)
    emit(
        InvoiceWrittenOff(
            tenant_id=invoice.tenant_id,
            invoice_id=invoice.id,
            number=invoice.number,
            amount=amount,
            currency=invoice.currency,
        )
    )
    return invoice


def invoice_void(
    *, actor: Actor, invoice_id: str, reason: str, now: dt.datetime | None = None
) -> Invoice:
    """Take an open invoice back in full, by a credit note over all that is left of it.

    What credit had paid goes back to the wallet. Raises PermissionDenied, NotFound, Conflict for
    one that is not open, or of which something was paid (a credit note gives that back).
    """
    operators_only(actor)
    invoice = invoice_locked(invoice_id, of=actor)
    require_invoice_move(invoice.state, InvoiceState.VOID)
    if invoice.paid:
        raise Conflict(
            f"{invoice.paid} of {invoice} were paid; give them back with a credit note",
            code="invoice_partly_paid",
        )
    at = now or clock_now()
    credit_note_issue(
        actor=actor,
        invoice_id=invoice_id,
        key=f"void:{invoice_id}",
        reason=reason,
        to=CreditNote.To.INVOICE,
        now=at,
        closes=InvoiceState.VOID,
    )
    audit_record(actor=actor, action="invoice.void", target=invoice.id, data={"reason": reason})
    emit(InvoiceVoided(tenant_id=invoice.tenant_id, invoice_id=invoice.id, number=invoice.number))
    invoice.refresh_from_db()
    return invoice
