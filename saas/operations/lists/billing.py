"""Statements, invoices and tax rates, across tenants."""

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
)
from saas.console.readonly import Act, Section
from saas.operations.forms import ReasonForm
from saas.operations.lists.work import OperatorAdmin
from saas.operations.once import OnceForm
from tenants.accounts.actors import Actor
from tenants.billing.models import Invoice, Statement
from tenants.billing.services.credit_notes import credit_note_issue
from tenants.billing.services.finalising import statement_finalise
from tenants.billing.services.invoices import invoice_void, invoice_write_off
from tenants.billing.services.payments import payment_receive
from tenants.billing.services.statements import (
    statement_approval_require,
    statement_approve,
    statement_rerate,
)
from tenants.billing.states import PAYABLE, InvoiceState, StatementState
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


class CreditNoteForm(ReasonForm, OnceForm):
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


def _credit(request: HttpRequest, invoice_id: str, *, key: str, to: str, reason: str) -> Any:
    return credit_note_issue(
        actor=_of(request, invoice_id),
        invoice_id=invoice_id,
        key=key,
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
