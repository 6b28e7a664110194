"""Reads of invoices and what belongs to them, in the scope in force."""

from __future__ import annotations

from django.db.models import QuerySet

from tenants.billing.documents.view import InvoiceView, Line, Tax
from tenants.billing.models import (
    Invoice,
    InvoiceLine,
    InvoiceTax,
    Payment,
    Statement,
    TaxRate,
)
from tenants.billing.providers import MANUAL, provider_named
from tenants.billing.selectors.parties import party_of
from tenants.billing.states import PAYABLE
from tenants.billing.stating import LineKey
from tenants.kernel.errors import NotFound


def invoices_visible() -> QuerySet[Invoice]:
    """The invoices of the tenant in scope (of all, for the system), the latest first."""
    rows: QuerySet[Invoice] = Invoice.objects.order_by("-created_at", "-id")
    return rows


def invoice_get(invoice_id: str) -> Invoice:
    """Raises NotFound."""
    row = invoices_visible().filter(pk=invoice_id).first()
    if row is None:
        raise NotFound(f"no invoice {invoice_id!r}", param="invoice_id")
    return row


def invoice_lines(invoice: Invoice) -> QuerySet[InvoiceLine]:
    """In the document's order."""
    rows: QuerySet[InvoiceLine] = InvoiceLine.objects.filter(invoice=invoice).order_by("position")
    return rows


def statements_visible() -> QuerySet[Statement]:
    """Statements, the latest month first."""
    rows: QuerySet[Statement] = Statement.objects.order_by("-period", "-id")
    return rows


def payments_visible() -> QuerySet[Payment]:
    """Payments, the latest first."""
    rows: QuerySet[Payment] = Payment.objects.order_by("-received_at", "-id")
    return rows


def invoice_view(invoice: Invoice) -> InvoiceView:
    """All that an issued invoice's document says."""
    taxes = list(InvoiceTax.objects.filter(invoice=invoice).order_by("id"))
    return InvoiceView(
        number=invoice.number,
        state=invoice.state,
        currency=invoice.currency,
        period=f"{invoice.period:%Y-%m}",
        issued_on=invoice.issued_at.date() if invoice.issued_at else None,
        due_on=invoice.due_at.date() if invoice.due_at else None,
        seller=party_of(invoice.seller),
        customer=party_of(invoice.customer),
        lines=tuple(_line(line) for line in invoice_lines(invoice)),
        taxes=tuple(Tax(_tax_name(tax), tax.rate, tax.base, tax.amount) for tax in taxes),
        net=invoice.net,
        tax=invoice.tax,
        total=invoice.total,
        allowance=invoice.allowance,
        promotion=invoice.promotion,
        prepaid=invoice.prepaid,
        brought_forward=invoice.brought_forward,
        due=invoice.due,
        paid=invoice.paid,
        credited=invoice.credited,
        reverse_charge=invoice.reverse_charge,
        instructions=_instructions(invoice),
    )


def _line(line: InvoiceLine) -> Line:
    return Line(
        position=line.position,
        kind=line.kind,
        description=line.description,
        period=f"{line.period:%Y-%m}",
        quantity=line.quantity,
        unit=line.unit,
        exact=line.exact,
        net=line.net,
        meter=line.meter,
        price_key=line.price_key,
        revenue=line.revenue,
        price_version=line.price_version,
        key=LineKey.from_text(line.data["key"]) if "key" in line.data else None,
    )


def _tax_name(tax: InvoiceTax) -> str:
    """The rate's name as the operator set it; the jurisdiction where that is gone."""
    row = TaxRate.objects.filter(jurisdiction=tax.jurisdiction, rate=tax.rate).first()
    return row.name if row else tax.jurisdiction


def _instructions(invoice: Invoice) -> tuple[str, ...]:
    if invoice.state not in PAYABLE or invoice.remaining == 0:
        return ()
    return provider_named(MANUAL).collect(invoice).instructions
