"""Invoices: what each month came to, what paid for it, and every line's explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.filters import choice_filter
from saas.console.money_words import (
    CREDIT_NOTE_TO,
    DUNNING_STEPS,
    INVOICE_KINDS,
    INVOICE_STATES,
    LINE_KINDS,
)
from saas.console.readonly import ReadOnlyAdmin, Section
from saas.console.words import METERS
from tenants.billing.models import (
    CreditNote,
    DunningStep,
    Invoice,
    InvoiceLine,
    InvoiceTax,
    PaymentPart,
)


def invoice_name(row: Invoice) -> Any:
    """Its number; a draft has none yet."""
    return row.number or _("Draft")


def line_name(line: Any) -> Any:
    """What was counted, with what tells its price apart; without a count what kind of line it is.

    Also for the lines of an invoice that is not one yet.
    """
    if not line.meter:
        return LINE_KINDS.get(line.kind, line.description)
    pairs = line.price_key.partition("?")[2].split("&")
    apart = ", ".join(unquote(pair.partition("=")[2]) for pair in pairs if pair)
    name = METERS.get(line.meter, line.meter)
    return f"{name} · {apart}" if apart else name


def _explained(line: InvoiceLine) -> Any:
    url = reverse("console:line", args=[line.invoice_id, line.pk])
    return format_html('<a href="{}" title="{}">{}</a>', url, line.description, line_name(line))


def line_quantity(line: Any) -> str:
    """Of an issued line or of the running month's."""
    if line.quantity is None:
        return show.NONE
    return f"{show.as_number(line.quantity)} {line.unit}".strip()


period = show.derived("period", _("Month"), lambda day: f"{day:%Y-%m}")
state = show.badge("state", _("State"), INVOICE_STATES)
amounts = (
    show.amount("net", _("Net")),
    show.amount("tax", _("Tax")),
    show.amount("total", _("Total")),
    show.amount("allowance", _("Paid by allowance")),
    show.amount("promotion", _("Paid by promotions")),
    show.amount("prepaid", _("Paid by credit")),
    show.amount("brought_forward", _("Brought forward")),
    show.amount("due", _("Due")),
    show.amount("paid", _("Paid")),
    show.amount("credited", _("Credited")),
    show.amount("remaining", _("Left to pay")),
)
dates = (
    show.moment("issued_at", _("Issued")),
    show.moment("due_at", _("Due by")),
    show.moment("paid_at", _("Paid on")),
)
EXPLAINED = show.column(_explained, _("Line"))


def line_columns(*, described: show.Cell) -> tuple[show.Cell, ...]:
    return (
        described,
        period,
        show.right(show.column(line_quantity, _("Quantity"))),
        show.amount("exact", _("Exact"), currency="invoice.currency"),
        show.amount("net", _("Net"), currency="invoice.currency"),
    )


class InvoiceAdmin(ReadOnlyAdmin):
    reads = "billing.read"
    title = _("Invoices")
    intro = _("One a month. Every line can be followed down to the events behind it.")
    empty = _("No invoices yet. The first is made when this month is over.")
    list_tools = "console/upcoming_tool.html"
    detail_template = "console/invoice.html"
    list_display = (
        show.column(invoice_name, _("Number")),
        period,
        state,
        show.amount("total", _("Total"), sort=True),
        show.amount("remaining", _("Left to pay")),
        show.moment("due_at", _("Due by")),
    )
    list_filter = (choice_filter("state", _("State"), INVOICE_STATES),)
    search_fields = ("id", "number")
    details: Sequence[show.Cell] = (
        show.column(invoice_name, _("Number")),
        show.word("kind", _("Kind"), INVOICE_KINDS),
        period,
        state,
        *dates,
    )

    def heading(self, row: Invoice) -> str:
        return f"{invoice_name(row)} · {row.period:%Y-%m}"

    def sections(self, request: HttpRequest, row: Invoice) -> Sequence[Section]:
        del request
        return invoice_sections(row, described=EXPLAINED)

    def more(self, request: HttpRequest, row: Invoice) -> Mapping[str, Any]:
        del request
        return {
            "amounts": amounts_shown(row),
            "links": [
                {"label": name, "url": reverse(f"console:invoice_{kind}", args=[row.pk])}
                for kind, name in (("pdf", "PDF"), ("csv", "CSV"))
            ],
        }


ALWAYS = frozenset({"net", "total", "due", "remaining"})


def amounts_shown(row: Invoice) -> list[tuple[Any, Any]]:
    """What the invoice comes to and what paid for it; zeros only where they say something."""
    return [
        (cell.short_description, cell(row))  # type: ignore[attr-defined]
        for cell in amounts
        if cell.__name__ in ALWAYS or getattr(row, cell.__name__)
    ]


def invoice_sections(row: Invoice, *, described: show.Cell) -> list[Section]:
    """An invoice's lines, taxes, credit notes, payments and reminders."""
    lines = InvoiceLine.objects.filter(invoice=row).select_related("invoice").order_by("position")
    taxes = InvoiceTax.objects.filter(invoice=row).select_related("invoice").order_by("id")
    notes = CreditNote.objects.filter(invoice=row).select_related("invoice").order_by("id")
    parts = PaymentPart.objects.filter(invoice=row).select_related("payment").order_by("id")
    steps = DunningStep.objects.filter(invoice=row).order_by("id")
    return [
        Section(_("Lines"), line_columns(described=described), list(lines)),
        Section(_("Tax"), _TAX_COLUMNS, list(taxes)),
        Section(_("Payments"), _PAYMENT_COLUMNS, list(parts)),
        Section(_("Credit notes"), _NOTE_COLUMNS, list(notes)),
        Section(_("Reminders"), _DUNNING_COLUMNS, list(steps)),
    ]


_TAX_COLUMNS = (
    show.text("jurisdiction", _("Jurisdiction")),
    show.percent("rate", _("Rate")),
    show.amount("base", _("Of"), currency="invoice.currency"),
    show.amount("amount", _("Tax"), currency="invoice.currency"),
)
_PAYMENT_COLUMNS = (
    show.moment("payment.received_at", _("Received")),
    show.text("payment.provider", _("By")),
    show.amount("amount", _("Amount"), currency="payment.currency"),
)
_NOTE_COLUMNS = (
    show.text("number", _("Number")),
    show.text("reason", _("Reason")),
    show.word("to", _("Where to"), CREDIT_NOTE_TO),
    show.amount("total", _("Total"), currency="invoice.currency"),
    show.moment("issued_at", _("Issued")),
)
_DUNNING_COLUMNS = (
    show.badge("step", _("Step"), DUNNING_STEPS),
    show.moment("taken_at", _("Taken")),
)
