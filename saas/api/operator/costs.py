"""What the platform's work costs, for staff: each job, a million tokens, each use of a slot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, Month, UnixTime
from saas.api.platform.invoice_documents import sent_as
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.billing.periods import Period
from tenants.billing.selectors.focus import focus_cost_rows
from tenants.costs.selectors import cost_totals, unit_costs
from tenants.kernel.clock import now

TAG = "operator"
NEEDS = "costs.read"
_SOLD = {"fine_tune": "tokens.trained", "serve": "tokens.served"}


class RangeQuery(serializers.Serializer[Any]):
    start_time = UnixTime(required=False, help_text="From this moment on.")
    end_time = UnixTime(required=False, help_text="Before this moment.")


class JobsCostQuery(RangeQuery):
    tenant = serializers.CharField(required=False, max_length=40)


class _Cost(serializers.Serializer[Any]):
    amount = serializers.CharField(help_text="An exact decimal number.")
    currency = serializers.CharField()


class JobCostOut(_Cost):
    object = Constant("cost.job")
    job_id = serializers.CharField()
    tenant_id = serializers.CharField()
    slot_seconds = serializers.CharField()


class UnitCostOut(_Cost):
    object = Constant("cost.unit")
    model = serializers.CharField()
    meter = serializers.CharField()
    tokens = serializers.CharField()
    per_million = serializers.CharField(help_text="What a million tokens cost.")


class SlotCostOut(_Cost):
    object = Constant("cost.slots")
    resource = serializers.CharField()
    purpose = serializers.CharField()
    slot_seconds = serializers.CharField()


def table_of(item: type[serializers.Serializer[Any]], name: str) -> serializers.Serializer[Any]:
    """A list without ids."""
    from drf_spectacular.utils import inline_serializer

    fields: dict[str, Any] = {
        "object": serializers.ChoiceField(["list"]),
        "data": item(many=True),
        "has_more": serializers.BooleanField(),
    }
    return inline_serializer(name, fields)


def table(rows: Iterator[dict[str, Any]]) -> Response:
    return Response({"object": "list", "data": list(rows), "has_more": False})


def job_rows(query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    totals = cost_totals(
        group_by=("job", "tenant"),
        since=query.get("start_time"),
        until=query.get("end_time"),
        tenant_id=query.get("tenant", ""),
    )
    for total in totals:
        job_id, tenant_id = total.group
        if job_id:
            yield {
                "object": "cost.job",
                "job_id": job_id,
                "tenant_id": tenant_id,
                "slot_seconds": f"{total.seconds:.3f}",
                "amount": f"{total.cost.amount:f}",
                "currency": total.cost.currency,
            }


def unit_rows(query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Each catalogue model's trained and served tokens; those without any are left out."""
    found = unit_costs(since=query.get("start_time"), until=query.get("end_time"))
    for kind, base, unit in found:
        if unit.per_million is not None:
            yield {
                "object": "cost.unit",
                "model": base,
                "meter": _SOLD[kind],
                "tokens": f"{unit.tokens:.0f}",
                "per_million": f"{unit.per_million.amount:.9f}",
                "amount": f"{unit.cost.amount:f}",
                "currency": unit.per_million.currency,
            }


def slot_rows(query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    totals = cost_totals(
        group_by=("resource", "purpose"),
        since=query.get("start_time"),
        until=query.get("end_time"),
    )
    for total in totals:
        resource, purpose = total.group
        yield {
            "object": "cost.slots",
            "resource": resource,
            "purpose": purpose,
            "slot_seconds": f"{total.seconds:.3f}",
            "amount": f"{total.cost.amount:f}",
            "currency": total.cost.currency,
        }


class CostsByJobView(ApiView):
    @operation(
        "Costs of jobs",
        tag=TAG,
        needs=NEEDS,
        answer=table_of(JobCostOut, "JobCostList"),
        query=JobsCostQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return table(job_rows(self.query(JobsCostQuery)))


class CostsByUnitView(ApiView):
    @operation(
        "Costs of a million tokens",
        tag=TAG,
        needs=NEEDS,
        answer=table_of(UnitCostOut, "UnitCostList"),
        query=RangeQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return table(unit_rows(self.query(RangeQuery)))


class CostsBySlotView(ApiView):
    @operation(
        "Costs of slot time by purpose",
        tag=TAG,
        needs=NEEDS,
        answer=table_of(SlotCostOut, "SlotCostList"),
        query=RangeQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return table(slot_rows(self.query(RangeQuery)))


class CostsFocusQuery(serializers.Serializer[Any]):
    period = Month(required=False, help_text="Default: the month under way.")


class CostsFocusView(ApiView):
    """By day, resource, purpose, tenant and how it was bought. https://focus.finops.org"""

    @operation(
        "Export costs as FOCUS",
        tag=TAG,
        needs=NEEDS,
        answer=OpenApiTypes.STR,
        media_type="text/csv",
        query=CostsFocusQuery,
    )
    def get(self, request: Request) -> HttpResponse:  # noqa: ARG002
        month = self.query(CostsFocusQuery).get("period")
        period = Period(month) if month else Period.of(now())
        return sent_as(focus_cost_rows(period=period), "text/csv", f"focus-costs-{period}.csv")
