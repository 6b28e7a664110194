"""What of an invoice can still be given back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal

from django.db.models import Sum

from tenants.billing.books import GivenBack
from tenants.billing.crediting import Standing
from tenants.billing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine, InvoiceTax
from tenants.billing.states import InvoiceState

ZERO = Decimal(0)


def standing_of(invoice: Invoice) -> Standing:
    """An invoice less its credit notes."""
    notes = list(CreditNote.objects.filter(invoice=invoice))
    gone = {
        field.name: sum((Decimal(note.parts.get(field.name, "0")) for note in notes), ZERO)
        for field in fields(GivenBack)
    }
    base = InvoiceTax.objects.filter(invoice=invoice).aggregate(total=Sum("base"))["total"]
    is_open = invoice.state == InvoiceState.OPEN
    return Standing(
        currency=invoice.currency,
        net=invoice.net,
        tax=invoice.tax,
        taxed=base or ZERO,
        left=GivenBack(
            owed=invoice.remaining if is_open else ZERO,
            paid=invoice.paid - gone["paid"],
            prepaid=max(ZERO, invoice.prepaid - invoice.prepaid_untaxed - gone["prepaid"]),
            untaxed=invoice.prepaid_untaxed - gone["untaxed"],
            promotion=invoice.promotion - gone["promotion"],
            allowance=invoice.allowance - gone["allowance"],
        ),
        credited_net=sum((note.net for note in notes), ZERO),
        credited_tax=sum((note.tax for note in notes), ZERO),
    )


def lines_left(invoice: Invoice) -> dict[InvoiceLine, Decimal]:
    """Each line with what of its net was not given back yet, in the document's order."""
    rows = CreditNoteLine.objects.filter(credit_note__invoice=invoice).order_by()
    gone: Mapping[str, Decimal] = dict(
        rows.values("invoice_line_id")
        .annotate(total=Sum("net"))
        .values_list("invoice_line_id", "total")
    )
    lines = InvoiceLine.objects.filter(invoice=invoice).order_by("position")
    return {line: line.net - gone.get(line.id, ZERO) for line in lines}


def took_the_rest(note: CreditNote) -> bool:
    """Whether nothing of its invoice was left after this note."""
    last = max(note.lines.values_list("id", flat=True))
    upto = CreditNoteLine.objects.filter(credit_note__invoice=note.invoice_id, id__lte=last)
    given: Decimal = upto.aggregate(net=Sum("net"))["net"]
    net: Decimal = note.invoice.net
    return given == net


def jurisdiction_of(invoice: Invoice) -> str:
    """Where the invoice's tax is owed; empty where it bore none."""
    row = InvoiceTax.objects.filter(invoice=invoice).order_by("id").first()
    return str(row.jurisdiction) if row else ""
