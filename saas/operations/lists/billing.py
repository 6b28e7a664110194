"""Statements, invoices, payments, bank transfers and tax rates, across tenants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from saas.acting import acting_on
from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.filters import choice_filter
from saas.console.lists import invoices as console_invoices
from saas.console.money_words import (
    CREDIT_NOTE_TO,
    INVOICE_STATES,
    STATEMENT_STATES,
    TRANSFER_STATES,
)
from saas.console.readonly import Act, Section
from saas.operations.lists.work import OperatorAdmin
from tenants.accounts.actors import Actor
from tenants.accounts.models import Tenant
from tenants.billing.models import BankTransfer, Invoice, Payment, PaymentPart, Refund, Statement
from tenants.billing.services.bank_transfers import bank_transfer_assign
from tenants.billing.services.credit_notes import credit_note_issue
from tenants.billing.services.finalising import statement_finalise
from tenants.billing.services.invoices import invoice_void, invoice_write_off
from tenants.billing.services.payments import payment_receive
from tenants.billing.services.refunds import payment_refund
from tenants.billing.services.statements import (
    statement_approval_require,
    statement_approve,
    statement_rerate,
)
from tenants.billing.states import PAYABLE, InvoiceState, StatementState
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money

tenant = show.text("tenant.name", _("Tenant"), sort=True)


def invoice_link(row: Invoice) -> Any:
    url = reverse("operations:billing_invoice_change", args=[row.pk])
    return format_html('<a class="bw-link" href="{}">{}</a>', url, row.number or row.pk)


def _statement(service: Callable[..., Any], **more: Any) -> Callable[[HttpRequest, str], Any]:
    """A service of one statement as an act of the operator for its tenant."""

    def run(request: HttpRequest, statement_id: str) -> Any:
        actor = acting_on(actor_of(request), Statement.objects, statement_id)
        return service(actor=actor, statement_id=statement_id, **more)

    return run


_STATEMENT_ACTS = (
    Act(
        name="require",
        label=_("Ask for approval"),
        permission="billing.write",
        run=_statement(statement_approval_require, required=True),
        done=_("It becomes final only once an operator has approved it."),
        offered=lambda row: row.state != StatementState.FINAL and not row.approval,
    ),
    Act(
        name="approve",
        label=_("Approve"),
        permission="billing.write",
        run=_statement(statement_approve),
        done=_("Approved: it becomes final when its grace is over."),
        offered=lambda row: row.state == StatementState.GRACE and row.approved_at is None,
    ),
    Act(
        name="finalise",
        label=_("Make final now"),
        permission="billing.write",
        run=_statement(statement_finalise),
        done=_("The month is frozen and its invoice issued."),
        offered=lambda row: row.state == StatementState.GRACE,
        confirm=_("Freeze this month now? Usage that comes later goes onto the next invoice."),
    ),
    Act(
        name="rerate",
        label=_("Rate again"),
        permission="billing.write",
        run=_statement(statement_rerate),
        done=_("Rated again from what was frozen: the same to the byte."),
        offered=lambda row: row.state == StatementState.FINAL,
    ),
)


class StatementAdmin(OperatorAdmin):
    title = _("Statements")
    acts = _STATEMENT_ACTS
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


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=300)


class CreditNoteForm(ReasonForm):
    to = forms.ChoiceField(
        label=_("What was already paid goes"),
        choices=[(value, text) for value, text in CREDIT_NOTE_TO.items() if value != "invoice"],
    )


class PaidForm(forms.Form):
    amount = forms.DecimalField(label=_("Amount"), min_value=Decimal("0.001"), decimal_places=3)
    external_id = forms.CharField(label=_("The bank's number"), max_length=120)
    payer = forms.CharField(label=_("Payer"), max_length=200, required=False)


def _of(request: HttpRequest, invoice_id: str) -> Actor:
    return acting_on(actor_of(request), Invoice.objects, invoice_id)


def _credit(request: HttpRequest, invoice_id: str, *, to: str, reason: str) -> Any:
    return credit_note_issue(
        actor=_of(request, invoice_id),
        invoice_id=invoice_id,
        key=new_id("key_"),
        reason=reason,
        to=to,
    )


def _paid(
    request: HttpRequest, invoice_id: str, *, amount: Decimal, external_id: str, payer: str
) -> Any:
    currency = Invoice.objects.values_list("currency", flat=True).get(pk=invoice_id)
    return payment_receive(
        actor=_of(request, invoice_id),
        provider="manual",
        external_id=external_id,
        amount=Money(amount, currency),
        invoice_id=invoice_id,
        payer=payer,
    )


def _void(request: HttpRequest, invoice_id: str, *, reason: str) -> Any:
    return invoice_void(actor=_of(request, invoice_id), invoice_id=invoice_id, reason=reason)


def _write_off(request: HttpRequest, invoice_id: str) -> Any:
    return invoice_write_off(actor=_of(request, invoice_id), invoice_id=invoice_id)


_INVOICE_ACTS = (
    Act(
        name="pay",
        label=_("Take a payment"),
        permission="billing.write",
        run=_paid,
        done=_("The payment is booked."),
        offered=lambda row: row.state in PAYABLE,
        form=PaidForm,
        initial=lambda row: {"amount": f"{row.remaining.normalize():f}"},
        note=_("What is paid beyond the invoice becomes credit."),
    ),
    Act(
        name="credit",
        label=_("Credit note"),
        permission="billing.write",
        run=_credit,
        done=_("The credit note is issued."),
        offered=lambda row: row.state in {InvoiceState.OPEN, InvoiceState.PAID},
        form=CreditNoteForm,
        note=_("Gives back all that is left of the invoice; what is owed goes first."),
    ),
    Act(
        name="void",
        label=_("Void"),
        permission="billing.write",
        run=_void,
        done=_("The invoice is taken back in full."),
        offered=lambda row: row.state == InvoiceState.OPEN and not row.paid,
        form=ReasonForm,
        danger=True,
    ),
    Act(
        name="write_off",
        label=_("Write off"),
        permission="billing.write",
        run=_write_off,
        done=_("The invoice is written off as bad debt."),
        offered=lambda row: row.state == InvoiceState.OPEN,
        danger=True,
        confirm=_(
            "Give up what is left to pay? It becomes bad debt; a late payment is still taken."
        ),
    ),
)


class InvoiceAdmin(OperatorAdmin):
    title = _("Invoices")
    acts = _INVOICE_ACTS
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
        described = show.column(console_invoices.line_name, _("Line"))
        return console_invoices.invoice_sections(row, described=described)

    def more(self, request: HttpRequest, row: Invoice) -> Mapping[str, Any]:
        del request
        return {"amounts": console_invoices.amounts_shown(row)}


class RefundForm(forms.Form):
    amount = forms.DecimalField(label=_("Amount"), min_value=Decimal("0.001"), decimal_places=3)


def _refund(request: HttpRequest, payment_id: str, *, amount: Decimal) -> Any:
    currency = Payment.objects.values_list("currency", flat=True).get(pk=payment_id)
    return payment_refund(
        actor=acting_on(actor_of(request), Payment.objects, payment_id),
        payment_id=payment_id,
        amount=Money(amount, currency),
        key=new_id("key_"),
    )


class PaymentAdmin(OperatorAdmin):
    title = _("Payments")
    acts = (
        Act(
            name="refund",
            label=_("Refund"),
            permission="billing.write",
            run=_refund,
            done=_("The refund is booked; make the transfer at your bank."),
            offered=lambda row: row.refundable > 0,
            form=RefundForm,
            note=_("Unused credit that this payment bought goes back to its payer."),
        ),
    )
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

    def heading(self, row: Payment) -> str:
        return f"{row.received_at:%Y-%m-%d} · {show.as_money(row.amount, row.currency)}"

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


class AssignForm(forms.Form):
    tenant_id = forms.ChoiceField(label=_("Tenant"))
    invoice_number = forms.CharField(
        label=_("Invoice number"), max_length=40, required=False, help_text=_("Empty: a top-up.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["tenant_id"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 -- for the type checker
        rows = Tenant.objects.filter(is_platform=False).order_by("name")
        field.choices = [(row.pk, row.name) for row in rows]


def _assign(request: HttpRequest, transfer_id: str, **fields: Any) -> Any:
    return bank_transfer_assign(actor=actor_of(request), transfer_id=transfer_id, **fields)


class BankTransferAdmin(OperatorAdmin):
    title = _("Bank transfers")
    list_tools = "operations/transfer_tool.html"
    acts = (
        Act(
            name="assign",
            label=_("Assign"),
            permission="billing.write",
            run=_assign,
            done=_("The transfer is booked."),
            offered=lambda row: row.state == BankTransfer.State.UNMATCHED,
            form=AssignForm,
        ),
    )
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

    def heading(self, row: BankTransfer) -> str:
        return f"{row.booked_on:%Y-%m-%d} · {show.as_money(row.amount, row.currency)}"


class TaxRateAdmin(OperatorAdmin):
    title = _("Tax rates")
    list_tools = "operations/tax_rate_tool.html"
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
