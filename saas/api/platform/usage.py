"""Usage events: every count behind the organisation's usage, one by one."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.usage.meters import METERS
from tenants.usage.models import UsageEvent
from tenants.usage.selectors import usage_events


class UsageEventOut(serializers.Serializer[UsageEvent]):
    id = serializers.CharField()
    object = Constant("usage_event")
    meter = serializers.ChoiceField(sorted(METERS))
    quantity = serializers.CharField(help_text="An exact decimal number.")
    unit = serializers.SerializerMethodField()
    event_time = UnixTime()
    source = serializers.CharField()  # type: ignore[assignment]
    dimensions = serializers.DictField()

    def get_unit(self, event: UsageEvent) -> str:
        return METERS[event.meter].unit


class UsageEventsQuery(PageQuery):
    meter = serializers.ChoiceField(sorted(METERS), required=False)
    start_time = UnixTime(required=False, help_text="From this moment on.")
    model = serializers.CharField(required=False, max_length=200, help_text="Of this model.")
    api_key_id = serializers.CharField(
        required=False, max_length=200, help_text="Of what this API key was used for."
    )
    end_time = UnixTime(required=False, help_text="Before this moment.")


def render(event: UsageEvent) -> dict[str, Any]:
    return {**UsageEventOut(event).data, "quantity": f"{event.quantity.normalize():f}"}


class UsageEventsView(ApiView):
    @operation(
        "List usage events",
        tag="usage",
        needs="usage.read",
        answer=list_of(UsageEventOut),
        query=UsageEventsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(UsageEventsQuery)
        rows = usage_events(
            meter=query.get("meter", ""),
            since=query.get("start_time"),
            until=query.get("end_time"),
            where={name: [query[name]] for name in ("model", "api_key_id") if name in query},
        )
        return Response(page(rows, query, render))
