"""Invoices: what each month came to, line by line."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, Month, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.billing.models import Invoice, InvoiceLine, InvoiceTax
from tenants.billing.selectors.invoices import invoice_get, invoices_visible
from tenants.billing.states import InvoiceState

TAG = "invoices"
READ = "billing.read"


class InvoiceOut(serializers.Serializer[Invoice]):
    id = serializers.CharField()
    object = Constant("invoice")
    kind = serializers.ChoiceField(Invoice.Kind.values)
    number = serializers.CharField(help_text="Empty until it is issued.")
    state = serializers.ChoiceField(InvoiceState.values)
    period = Month()
    currency = serializers.CharField()
    net = Amount(help_text="Sum of the lines.")
    tax = Amount()
    total = Amount(help_text="net + tax")
    allowance = Amount(help_text="Paid by the plan's allowance.")
    promotion = Amount(help_text="Paid by promotions.")
    prepaid = Amount(help_text="Paid by credit bought before.")
    brought_forward = Amount()
    due = Amount(help_text="total - allowance - promotion - prepaid + brought_forward")
    paid = Amount()
    credited = Amount(help_text="By credit notes, of what was due.")
    remaining = Amount(help_text="due - paid - credited")
    reverse_charge = serializers.BooleanField()
    created_at = UnixTime()
    issued_at = UnixTime(allow_null=True)
    due_at = UnixTime(allow_null=True)
    paid_at = UnixTime(allow_null=True)


class InvoiceLineOut(serializers.Serializer[InvoiceLine]):
    id = serializers.CharField()
    object = Constant("invoice.line")
    kind = serializers.CharField()
    description = serializers.CharField()
    period = Month()
    meter = serializers.CharField()
    price_key = serializers.CharField()
    price_version = serializers.CharField()
    revenue = serializers.CharField(help_text="What was bought: tokens, training, …")
    quantity = Amount(allow_null=True)
    unit = serializers.CharField()
    exact = Amount(help_text="The rated amount, not rounded.")
    net = Amount(help_text="What the document says.")


class InvoiceTaxOut(serializers.Serializer[InvoiceTax]):
    jurisdiction = serializers.CharField()
    rate = Amount(help_text="0.19 is 19%.")
    base = Amount()
    amount = Amount()


class InvoiceFullOut(InvoiceOut):
    lines = InvoiceLineOut(many=True)
    taxes = InvoiceTaxOut(many=True)
    seller = serializers.DictField()
    customer = serializers.DictField()


def render(row: Invoice) -> dict[str, Any]:
    return InvoiceOut(row).data


def render_full(row: Invoice) -> dict[str, Any]:
    return InvoiceFullOut(row).data


class InvoicesView(ApiView):
    @operation("List invoices", tag=TAG, needs=READ, answer=list_of(InvoiceOut), query=PageQuery)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(invoices_visible(), self.query(PageQuery), render))


class InvoiceView(ApiView):
    @operation("Retrieve an invoice", tag=TAG, needs=READ, answer=InvoiceFullOut)
    def get(self, request: Request, invoice_id: str) -> Response:  # noqa: ARG002
        return Response(render_full(invoice_get(invoice_id)))
