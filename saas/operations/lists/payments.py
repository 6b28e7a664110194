"""Payments that came in, refunds of them, and transfers that wait for somebody's word."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.acting import acting_on
from saas.console import columns as show
from saas.console.asking import actor_of, choices_set
from saas.console.filters import choice_filter
from saas.console.money_words import (
    TRANSFER_STATES,
)
from saas.console.readonly import Act, Section
from saas.operations.lists.billing import invoice_link, tenant
from saas.operations.lists.work import OperatorAdmin
from saas.operations.once import OnceForm
from tenants.accounts.models import Tenant
from tenants.billing.models import BankTransfer, Payment, PaymentPart, Refund
from tenants.billing.services.bank_transfers import bank_transfer_assign
from tenants.billing.services.refunds import payment_refund
from tenants.kernel.money import Money


class RefundForm(OnceForm):
    amount = forms.DecimalField(label=_("Amount"), min_value=Decimal("0.001"), decimal_places=3)


def _refund(request: HttpRequest, payment_id: str, *, key: str, amount: Decimal) -> Any:
    currency = Payment.objects.values_list("currency", flat=True).get(pk=payment_id)
    return payment_refund(
        actor=acting_on(actor_of(request), Payment.objects, payment_id),
        payment_id=payment_id,
        amount=Money(amount, currency),
        key=key,
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
        rows = Tenant.objects.filter(is_platform=False).order_by("name")
        choices_set(self, "tenant_id", [(row.pk, row.name) for row in rows])


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
