"""Exports for the customer's own tools: a month's charges in FOCUS."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request

from saas.api.fields import Month
from saas.api.platform.invoice_documents import sent_as
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.billing.periods import Period
from tenants.billing.selectors.focus import focus_rows
from tenants.kernel.clock import now


class FocusQuery(serializers.Serializer[Any]):
    period = Month(required=False, help_text="Default: the month under way.")


class FocusExportView(ApiView):
    """Issued invoices of the month, or what it comes to so far. https://focus.finops.org"""

    @operation(
        "Export charges as FOCUS",
        tag="exports",
        needs="billing.read",
        answer=OpenApiTypes.STR,
        media_type="text/csv",
        query=FocusQuery,
    )
    def get(self, request: Request) -> HttpResponse:  # noqa: ARG002
        month = self.query(FocusQuery).get("period")
        period = Period(month) if month else Period.of(now())
        content = focus_rows(tenant_id=self.actor.tenant_id, period=period)
        return sent_as(content, "text/csv", f"focus-{period}.csv")
