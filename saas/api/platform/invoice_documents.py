"""An invoice to keep (PDF, CSV), the month so far as one, and what stands behind a line."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, UnixTime
from saas.api.platform.invoices import READ, TAG, InvoiceLineOut
from saas.api.platform.usage import UsageEventOut
from saas.api.platform.usage import render as render_event
from saas.api.schema import operation
from saas.api.views import ApiView
from saas.currencies import currency_of
from tenants.billing.documents.invoice_csv import invoice_csv
from tenants.billing.documents.invoice_pdf import invoice_pdf
from tenants.billing.documents.view import InvoiceView as Document
from tenants.billing.explaining import Explained
from tenants.billing.models import Invoice
from tenants.billing.selectors.explaining import LineExplanation, line_explain
from tenants.billing.selectors.invoices import invoice_get, invoice_view
from tenants.billing.selectors.upcoming import invoice_upcoming
from tenants.kernel.errors import NotFound


class UpcomingLineOut(serializers.Serializer[Any]):
    position = serializers.IntegerField()
    kind = serializers.CharField()
    description = serializers.CharField()
    period = serializers.CharField()
    meter = serializers.CharField()
    price_key = serializers.CharField()
    price_version = serializers.CharField()
    revenue = serializers.CharField()
    quantity = Amount(allow_null=True)
    unit = serializers.CharField()
    exact = Amount()
    net = Amount()


class UpcomingTaxOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    rate = Amount()
    base = Amount()
    amount = Amount()


class UpcomingOut(serializers.Serializer[Document]):
    object = Constant("invoice.upcoming")
    currency = serializers.CharField()
    period = serializers.CharField()
    lines = UpcomingLineOut(many=True)
    taxes = UpcomingTaxOut(many=True)
    net = Amount()
    tax = Amount()
    total = Amount()
    allowance = Amount()
    promotion = Amount()
    prepaid = Amount()
    brought_forward = Amount()
    due = Amount(help_text="What would be owed if the month ended now.")


class StepOut(serializers.Serializer[Any]):
    what = serializers.CharField()
    quantity = Amount()
    price = Amount()
    per = Amount()
    amount = Amount(help_text="quantity x price / per")


class ArithmeticOut(serializers.Serializer[Explained]):
    quantity = Amount()
    before = Amount(help_text="Counted this month before this card took over; tiers count on.")
    steps = StepOut(many=True)
    before_amount = Amount()
    model_amount = Amount(help_text="The steps' sum within minimum and cap, less before_amount.")
    factor = Amount(help_text="Discount and exchange rate.")
    amount = Amount(help_text="model_amount x factor")


class LineExplainedOut(serializers.Serializer[LineExplanation]):
    object = Constant("invoice.line_explanation")
    line = InvoiceLineOut()
    arithmetic = ArithmeticOut(allow_null=True, help_text="Null where the line counts nothing.")
    price_version = serializers.CharField()
    valid_from = UnixTime(allow_null=True)
    event_count = serializers.IntegerField()
    events = UsageEventOut(many=True, help_text="One page of the usage that was counted.")
    next_page = serializers.CharField(allow_null=True)


class EventsQuery(serializers.Serializer[Any]):
    page = serializers.CharField(required=False, default="", max_length=64)
    limit = serializers.IntegerField(required=False, default=100, min_value=1, max_value=500)


def explanation(invoice_id: str, line_id: str, query: dict[str, Any]) -> LineExplanation:
    """Raises NotFound, also for a line of another invoice."""
    found = line_explain(line_id, page=query["page"], limit=query["limit"])
    if found.line.invoice_id != invoice_id:
        raise NotFound(f"no line {line_id!r} on the invoice {invoice_id!r}", param="line_id")
    return found


def render_explanation(found: LineExplanation) -> dict[str, Any]:
    answer: dict[str, Any] = LineExplainedOut(found).data
    return {**answer, "events": [render_event(event) for event in found.events]}


def sent_as(content: bytes, media_type: str, name: str) -> HttpResponse:
    """A download; the name holds letters, digits and dashes only."""
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "x-content-type-options": "nosniff",
    }
    return HttpResponse(content, content_type=media_type, headers=headers)


def as_pdf(invoice: Invoice) -> HttpResponse:
    """In the language that the customer chose for documents."""
    content = invoice_pdf(invoice_view(invoice), language=language_of(invoice))
    return sent_as(content, "application/pdf", f"{invoice}.pdf")


def as_csv(invoice: Invoice) -> HttpResponse:
    content = invoice_csv(invoice_view(invoice), language=language_of(invoice))
    return sent_as(content, "text/csv", f"{invoice}.csv")


def language_of(invoice: Invoice) -> str:
    """The customer's choice for documents, as it was at issue."""
    language: str = invoice.customer.get("language", "en")
    return language


class InvoiceUpcomingView(ApiView):
    """The month under way, rated as if it ended now."""

    @operation("Preview the next invoice", tag=TAG, needs=READ, answer=UpcomingOut)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        tenant_id = self.actor.tenant_id
        found = invoice_upcoming(tenant_id=tenant_id, currency=currency_of(tenant_id))
        return Response(UpcomingOut(found).data)


class InvoicePdfView(ApiView):
    @operation(
        "Download an invoice as PDF",
        tag=TAG,
        needs=READ,
        answer=OpenApiTypes.BINARY,
        media_type="application/pdf",
    )
    def get(self, request: Request, invoice_id: str) -> HttpResponse:  # noqa: ARG002
        return as_pdf(invoice_get(invoice_id))


class InvoiceCsvView(ApiView):
    @operation(
        "Download an invoice as CSV",
        tag=TAG,
        needs=READ,
        answer=OpenApiTypes.STR,
        media_type="text/csv",
    )
    def get(self, request: Request, invoice_id: str) -> HttpResponse:  # noqa: ARG002
        return as_csv(invoice_get(invoice_id))


class InvoiceLineView(ApiView):
    @operation(
        "Explain an invoice line", tag=TAG, needs=READ, answer=LineExplainedOut, query=EventsQuery
    )
    def get(self, request: Request, invoice_id: str, line_id: str) -> Response:  # noqa: ARG002
        found = explanation(invoice_id, line_id, self.query(EventsQuery))
        return Response(render_explanation(found))
