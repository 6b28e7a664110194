"""Issuing a final statement's invoice: its number, lines, taxes, and what is due. System scope."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Sequence
from decimal import Decimal

from django.conf import settings

from tenants.billing.descriptions import description_of, kind_of, meter_of, unit_of
from tenants.billing.events import InvoiceFinalised
from tenants.billing.models import Invoice, InvoiceLine, InvoiceTax, Statement
from tenants.billing.numbers import INVOICE, number_next
from tenants.billing.operators import system_only
from tenants.billing.selectors.parties import customer, seller
from tenants.billing.selectors.tax import tax_profile
from tenants.billing.services.invoices import invoice_mark_paid
from tenants.billing.settlement import Document
from tenants.billing.states import InvoiceState, require_invoice_move
from tenants.billing.stating import LATE, Late, LineKey, in_rated_order
from tenants.billing.taxation import Treatment
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from tenants.pricing.rating import RatedLine, RatedPeriod


def invoice_draft(*, tenant_id: str, statement: Statement) -> Invoice:
    """The draft that a statement in grace shows: no number, no amounts yet."""
    system_only()
    invoice: Invoice
    invoice, _ = Invoice.objects.get_or_create(
        tenant_id=tenant_id,
        statement=statement,
        defaults={
            "id": new_id("inv_"),
            "currency": statement.currency,
            "period": statement.period,
            "state": InvoiceState.DRAFT,
        },
    )
    return invoice


def invoice_issue(
    *,
    tenant_id: str,
    statement: Statement,
    rated: RatedPeriod,
    late: Sequence[Late],
    shown: Document,
    treated: Treatment,
    at: dt.datetime,
) -> Invoice | None:
    """Open the statement's invoice, paid at once where nothing is due. None: nothing to state."""
    system_only()
    invoice = invoice_draft(tenant_id=tenant_id, statement=statement)
    if not rated.lines and not shown.due:
        invoice.delete()
        return None
    require_invoice_move(invoice.state, InvoiceState.OPEN)
    profile = tax_profile(tenant_id)
    for field in dataclasses.fields(shown):
        if not field.name.endswith("rounding"):
            setattr(invoice, field.name, getattr(shown, field.name))
    invoice.total = shown.total
    invoice.state = InvoiceState.OPEN
    invoice.number = number_next(INVOICE, at=at)
    invoice.seller, invoice.customer = seller(), customer(profile)
    invoice.reverse_charge = treated.reverse_charge
    invoice.issued_at = at
    invoice.due_at = at + dt.timedelta(days=settings.INVOICE_DUE_DAYS)
    InvoiceLine.objects.bulk_create(_lines(invoice, rated, late))
    _taxes(invoice, rated)
    emit(
        InvoiceFinalised(
            tenant_id=tenant_id,
            invoice_id=invoice.id,
            number=invoice.number,
            total=invoice.total,
            due=invoice.due,
            currency=invoice.currency,
        )
    )
    if invoice.due == 0:
        invoice_mark_paid(tenant_id=tenant_id, invoice=invoice, at=at)
    invoice.save()
    return invoice


def _lines(invoice: Invoice, rated: RatedPeriod, late: Sequence[Late]) -> Iterator[InvoiceLine]:
    """One invoice line a rated line; late lines find their month in the order they were rated."""
    waiting = iter(in_rated_order(late))
    for position, line in enumerate(rated.lines, 1):
        if line.kind == LATE:
            part = next(waiting)
            quantity = part.sum.quantity
            yield _line(invoice, position, line, part.key, part.period, quantity, is_late=True)
        else:
            key = LineKey(
                line.kind, line.revenue, line.price_key, line.version_id, line.contract_id
            )
            yield _line(invoice, position, line, key, rated.period, line.quantity, is_late=False)


def _line(
    invoice: Invoice,
    position: int,
    line: RatedLine,
    key: LineKey,
    period: dt.date,
    quantity: Decimal,
    *,
    is_late: bool,
) -> InvoiceLine:
    return InvoiceLine(
        id=new_id("line_"),
        tenant_id=invoice.tenant_id,
        invoice=invoice,
        position=position,
        kind=kind_of(key, late=is_late),
        description=description_of(key, late=period if is_late else None)[:300],
        period=period,
        meter=meter_of(key.price_key),
        price_key=key.price_key,
        price_version=key.version_id,
        revenue=key.revenue,
        quantity=quantity if key.price_key else None,
        unit=unit_of(key.price_key),
        exact=line.exact,
        net=line.cents,
        data={"contract_id": key.contract_id, "key": key.to_text()},
    )


def _taxes(invoice: Invoice, rated: RatedPeriod) -> None:
    InvoiceTax.objects.bulk_create(
        InvoiceTax(
            tenant_id=invoice.tenant_id,
            invoice=invoice,
            jurisdiction=line.jurisdiction,
            rate=line.rate,
            base=line.taxable,
            amount=line.tax,
        )
        for line in rated.tax_lines
    )
