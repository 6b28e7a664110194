"""Statements, invoices, payments, bank transfers and tax rates, across tenants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.filters import choice_filter
from saas.console.lists import invoices as console_invoices
from saas.console.money_words import INVOICE_STATES, STATEMENT_STATES, TRANSFER_STATES
from saas.console.readonly import Section
from saas.operations.lists.work import OperatorAdmin
from tenants.billing.models import Invoice, Payment, PaymentPart, Refund, Statement

tenant = show.text("tenant.name", _("Tenant"), sort=True)


def invoice_link(row: Invoice) -> Any:
    url = reverse("operations:billing_invoice_change", args=[row.pk])
    return format_html('<a class="bw-link" href="{}">{}</a>', url, row.number or row.pk)


class StatementAdmin(OperatorAdmin):
    title = _("Statements")
    intro = _("A tenant's month: rated again as a whole when it closes, then frozen for ever.")
    list_display = (
        show.column(lambda row: f"{row.period:%Y-%m}", _("Month"), order="period"),
        tenant,
        show.text("currency", _("Currency")),
        show.badge("state", _("State"), STATEMENT_STATES),
        show.column(lambda row: _("needed") if _waits(row) else None, _("Approval")),
        show.moment("closed_at", _("Closed")),
        show.moment("finalised_at", _("Finalised")),
    )
    ordering = ("-period", "-id")
    list_filter = (choice_filter("state", _("State"), STATEMENT_STATES),)
    list_select_related = ("tenant",)
    search_fields = ("id", "tenant__name", "tenant__slug")
    details = (
        show.code("id", _("Id")),
        *list_display,
        show.moment("approved_at", _("Approved")),
        show.text("approved_by", _("Approved by")),
        show.amount("residual_in", _("Rounding carried in")),
        show.amount("residual_out", _("Rounding carried on")),
        show.code("sha256", _("SHA-256")),
    )

    def sections(self, request: HttpRequest, row: Statement) -> Sequence[Section]:
        del request
        made = Invoice.objects.filter(statement=row).order_by("id")
        return [Section(_("Invoices"), INVOICE_COLUMNS, list(made))]


def _waits(row: Statement) -> bool:
    return bool(row.approval and row.approved_at is None and row.finalised_at is None)


INVOICE_COLUMNS = (
    show.column(invoice_link, _("Number")),
    show.badge("state", _("State"), INVOICE_STATES),
    show.amount("total", _("Total")),
    show.amount("remaining", _("Left to pay")),
    show.moment("due_at", _("Due by")),
)


class InvoiceAdmin(OperatorAdmin):
    title = _("Invoices")
    detail_template = "console/invoice.html"
    list_display = (
        show.column(console_invoices.invoice_name, _("Number"), order="number"),
        tenant,
        console_invoices.period,
        console_invoices.state,
        show.amount("total", _("Total"), sort=True),
        show.amount("remaining", _("Left to pay")),
        show.moment("due_at", _("Due by")),
    )
    list_filter = (choice_filter("state", _("State"), INVOICE_STATES),)
    list_select_related = ("tenant",)
    search_fields = ("id", "number", "tenant__name", "tenant__slug")
    details = (
        show.code("id", _("Id")),
        tenant,
        console_invoices.period,
        console_invoices.state,
        *console_invoices.dates,
    )

    def heading(self, row: Invoice) -> str:
        return f"{console_invoices.invoice_name(row)} · {row.period:%Y-%m}"

    def sections(self, request: HttpRequest, row: Invoice) -> Sequence[Section]:
        del request
        described = show.text("description", _("Line"))
        return console_invoices.invoice_sections(row, described=described)

    def more(self, request: HttpRequest, row: Invoice) -> Mapping[str, Any]:
        del request
        cells = console_invoices.amounts
        return {"amounts": [(cell.short_description, cell(row)) for cell in cells]}  # type: ignore[attr-defined]


class PaymentAdmin(OperatorAdmin):
    title = _("Payments")
    list_display = (
        show.moment("received_at", _("Received")),
        tenant,
        show.text("provider", _("By")),
        show.amount("amount", _("Amount"), sort=True),
        show.amount("refunded", _("Sent back")),
        show.text("payer", _("Payer")),
    )
    list_select_related = ("tenant",)
    search_fields = ("id", "external_id", "payer", "tenant__name")
    details = (show.code("id", _("Id")), *list_display, show.code("external_id", _("Reference")))

    def sections(self, request: HttpRequest, row: Payment) -> Sequence[Section]:
        del request
        parts = PaymentPart.objects.filter(payment=row).select_related("invoice", "payment")
        refunds = Refund.objects.filter(payment=row).select_related("payment")
        return [
            Section(_("Went to"), _PART_COLUMNS, list(parts.order_by("id"))),
            Section(_("Sent back"), _REFUND_COLUMNS, list(refunds.order_by("id"))),
        ]


def _went_to(part: PaymentPart) -> Any:
    return invoice_link(part.invoice) if part.invoice else show.as_code(part.grant_id)


_PART_COLUMNS = (
    show.column(_went_to, _("To")),
    show.amount("amount", _("Amount"), currency="payment.currency"),
)
_REFUND_COLUMNS = (
    show.amount("amount", _("Amount"), currency="payment.currency"),
    show.code("external_id", _("Reference")),
    show.moment("created_at", _("Created")),
)


class BankTransferAdmin(OperatorAdmin):
    title = _("Bank transfers")
    intro = _("Lines of the bank's list. One that names no invoice waits here for its tenant.")
    ordering = ("-booked_on", "-id")
    list_display = (
        show.column(lambda row: f"{row.booked_on:%Y-%m-%d}", _("Booked"), order="booked_on"),
        show.badge("state", _("State"), TRANSFER_STATES),
        show.amount("amount", _("Amount"), sort=True),
        show.text("payer", _("Payer")),
        show.text("reference", _("Reference")),
        show.text("why", _("Why")),
    )
    list_filter = (choice_filter("state", _("State"), TRANSFER_STATES),)
    search_fields = ("id", "bank_id", "reference", "payer")
    details = (
        *list_display,
        show.code("bank_id", _("The bank's number")),
        show.code("tenant_id", _("Tenant")),
        show.code("payment_id", _("Payment")),
    )


class TaxRateAdmin(OperatorAdmin):
    title = _("Tax rates")
    intro = _("Ships empty: which taxes apply is for your advisers to say. A rate holds until the "
              "next one of its jurisdiction.")  # fmt: skip
    ordering = ("jurisdiction", "-valid_from")
    list_display = (
        show.text("jurisdiction", _("Jurisdiction"), sort=True),
        show.text("name", _("Name")),
        show.percent("rate", _("Rate")),
        show.moment("valid_from", _("From")),
    )
    details = list_display
