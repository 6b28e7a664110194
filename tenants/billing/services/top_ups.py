"""The tax documents of a top-up whose tax is taken when credit is bought. System scope."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

from tenants.billing.descriptions import CREDIT, ENGLISH
from tenants.billing.events import CreditNoteIssued, InvoiceFinalised, InvoicePaid
from tenants.billing.models import (
    CreditNote,
    CreditNoteLine,
    Invoice,
    InvoiceLine,
    InvoiceTax,
    Payment,
)
from tenants.billing.numbers import CREDIT_NOTE, INVOICE, number_next
from tenants.billing.operators import system_only
from tenants.billing.periods import Period
from tenants.billing.selectors.parties import customer, seller
from tenants.billing.selectors.tax import tax_profile
from tenants.billing.states import InvoiceState
from tenants.billing.taxation import TopUp, Treatment
from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit


def top_up_invoice(
    *, tenant_id: str, payment: Payment, bought: TopUp, treated: Treatment, at: dt.datetime
) -> Invoice:
    """Write the paid invoice of prepaid credit: the credit, its tax, and what was paid."""
    system_only()
    period = Period.of(at)
    invoice: Invoice = Invoice.objects.create(
        id=new_id("inv_"),
        tenant_id=tenant_id,
        kind=Invoice.Kind.TOP_UP,
        number=number_next(INVOICE, at=at),
        currency=payment.currency,
        period=period.month,
        state=InvoiceState.PAID,
        net=bought.credit,
        tax=bought.tax,
        total=bought.paid,
        due=bought.paid,
        paid=bought.paid,
        seller=seller(),
        customer=customer(tax_profile(tenant_id)),
        issued_at=at,
        due_at=at,
        paid_at=at,
    )
    InvoiceLine.objects.create(
        id=new_id("line_"),
        tenant_id=tenant_id,
        invoice=invoice,
        position=1,
        kind=CREDIT,
        description=ENGLISH.kinds[CREDIT],
        period=period.month,
        revenue="",
        exact=bought.credit,
        net=bought.credit,
        data={"payment_id": payment.id},
    )
    InvoiceTax.objects.create(
        tenant_id=tenant_id,
        invoice=invoice,
        jurisdiction=treated.jurisdiction,
        rate=treated.rate,
        base=bought.credit,
        amount=bought.tax,
    )
    told = {"invoice_id": invoice.id, "number": invoice.number}
    emit(
        InvoiceFinalised(
            tenant_id, total=invoice.total, due=invoice.due, currency=invoice.currency, **told
        ),
        InvoicePaid(tenant_id, **told),
    )
    return invoice


def top_up_credit(
    *, tenant_id: str, payment: Payment, net: Decimal, tax: Decimal, transactions: Sequence[str]
) -> CreditNote:
    """Write the credit note of what a refund gives back of such a top-up, to its payer."""
    system_only()
    line = InvoiceLine.objects.select_related("invoice").get(
        invoice__kind=Invoice.Kind.TOP_UP, tenant_id=tenant_id, data__payment_id=payment.id
    )
    at, note_id = now(), new_id("cn_")
    note: CreditNote = CreditNote.objects.create(
        id=note_id,
        tenant_id=tenant_id,
        key=note_id,  # what repeats is the refund
        number=number_next(CREDIT_NOTE, at=at),
        invoice=line.invoice,
        reason="Unused prepaid credit",
        to=CreditNote.To.PAYER,
        net=net,
        tax=tax,
        total=net + tax,
        parts={"paid": f"{net + tax:f}"},
        transactions=list(transactions),
        issued_at=at,
    )
    CreditNoteLine.objects.create(tenant_id=tenant_id, credit_note=note, invoice_line=line, net=net)
    emit(
        CreditNoteIssued(
            tenant_id=tenant_id,
            invoice_id=line.invoice_id,
            credit_note_id=note.id,
            number=note.number,
            total=note.total,
            currency=payment.currency,
            to=note.to,
        )
    )
    return note
