"""An invoice's documents, and the explanation of one of its lines down to the events."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from saas.api.platform.invoice_documents import as_csv, as_pdf, explanation
from saas.console import columns as show
from saas.console.lists.invoices import invoice_name, line_name
from saas.console.readonly import Section
from saas.console.words import METERS
from tenants.billing.explaining import Explained
from tenants.billing.models import Invoice, InvoiceLine
from tenants.billing.selectors.explaining import LineExplanation
from tenants.billing.selectors.invoices import invoice_get

EVENTS = 50
STEPS = {
    "each unit": _("each unit"),
    "free of charge": _("free of charge"),
    "once a month": _("once a month"),
    "percent of": _("percent of"),
}


def invoice_pdf(request: HttpRequest, invoice_id: str) -> HttpResponse:
    del request
    return as_pdf(invoice_get(invoice_id))


def invoice_csv(request: HttpRequest, invoice_id: str) -> HttpResponse:
    del request
    return as_csv(invoice_get(invoice_id))


def line(request: HttpRequest, invoice_id: str, line_id: str) -> HttpResponse:
    """Raises NotFound."""
    from saas.console.site import console

    page = request.GET.get("page", "")[:64]
    found = explanation(invoice_id, line_id, {"page": page, "limit": EVENTS})
    row, invoice = found.line, found.line.invoice
    back = reverse("console:billing_invoice_change", args=[invoice_id])
    return console.page(
        request,
        "console/line.html",
        title=line_name(row),
        crumbs=[
            {"title": _("Invoices"), "link": reverse("console:billing_invoice_changelist")},
            {"title": invoice_name(invoice), "link": back},
            {"title": line_name(row)},
        ],
        details=_details(found, row, invoice),
        sections=_sections(found, invoice.currency),
        more_url=f"?page={found.next_page}" if found.next_page else "",
    )


def _details(found: LineExplanation, row: InvoiceLine, invoice: Invoice) -> list[tuple[Any, Any]]:
    lines: list[tuple[Any, Any]] = [
        (_("Month"), f"{row.period:%Y-%m}"),
        (_("Exact"), show.as_money(row.exact, invoice.currency)),
        (_("Net"), show.as_money(row.net, invoice.currency)),
    ]
    if found.arithmetic is not None:
        lines += [
            (_("Meter"), METERS.get(row.meter, row.meter)),
            (_("Price"), show.as_code(row.price_key)),
            (_("Price version"), show.as_code(found.price_version)),
            (_("Events"), show.as_number(found.event_count)),
        ]
    if found.valid_from is not None:
        lines.append((_("In force from"), show.as_moment(found.valid_from)))
    return lines


def _sections(found: LineExplanation, currency: str) -> Sequence[Section]:
    sections = []
    if found.arithmetic is not None:
        sections.append(
            Section(_("How it was worked out"), _steps(currency), found.arithmetic.steps)
        )
        sections.append(Section(_("Then"), _SUMS, _sums(found.arithmetic, currency)))
    return [*sections, Section(_("Events behind it"), _EVENTS, found.events)]


def _steps(currency: str) -> tuple[show.Cell, ...]:
    money = partial(show.money, currency=currency)
    return (
        show.column(lambda step: STEPS.get(step.what, step.what), _("Step")),
        show.number("quantity", _("Quantity")),
        money("price", _("Price")),
        show.number("per", _("For each")),
        money("amount", _("Amount")),
    )


def _sums(found: Explained, currency: str) -> list[tuple[Any, str]]:
    def money(amount: Decimal) -> str:
        return show.as_money(amount, currency)

    before = [(_("Less what the month had before"), money(found.before_amount))]
    return [
        *(before if found.before else []),
        (_("Within minimum and cap"), money(found.model_amount)),
        (_("Times discount and exchange rate"), show.as_number(found.factor)),
        (_("Exact amount"), money(found.amount)),
    ]


_SUMS = (
    show.column(lambda pair: pair[0], ""),
    show.right(show.column(lambda pair: pair[1], "")),
)
_EVENTS = (
    show.moment("event_time", _("When")),
    show.number("quantity", _("Quantity")),
    show.text("source", _("From")),
    show.derived("dimensions", _("Dimensions"), show.as_pairs),
    show.code("id", _("Id")),
)
