"""Usage events from outside: one, or up to a thousand; in our own shape, or as CloudEvents.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant
from saas.api.parsers import CloudEventBatchParser, CloudEventParser, ExactJSONParser
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.kernel.errors import InvalidInput
from tenants.usage.external import MAX_EVENTS, cloud_event, external_events, plain_event
from tenants.usage.ingestion import NewUsage
from tenants.usage.meters import METERS
from tenants.usage.services import usage_ingest

ATTRIBUTES = ("specversion", "id", "source", "type", "time")


class IngestionOut(serializers.Serializer[Any]):
    object = Constant("usage.ingestion")
    received = serializers.IntegerField(help_text="Events in the request.")
    accepted = serializers.IntegerField(help_text="Of these, new ones.")
    repeated = serializers.IntegerField(help_text="Of these, such as came before.")


_TEXT = {"type": "string", "minLength": 1, "maxLength": 180}
_METER = {"type": "string", "enum": [name for name, meter in METERS.items() if meter.external]}
_QUANTITY = {
    "description": "At least 0, under 10^18, up to 12 decimals; a text keeps all its digits.",
    "oneOf": [{"type": "number", "minimum": 0}, {"type": "string"}],
}
_DIMENSIONS = {
    "type": "object",
    "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 200},
}
_DATA = {
    "type": "object",
    "required": ["quantity"],
    "properties": {"quantity": _QUANTITY, "dimensions": _DIMENSIONS},
    "additionalProperties": False,
}
_EVENT = {
    "type": "object",
    "required": ["key", "meter", "quantity"],
    "properties": {
        "key": {**_TEXT, "description": "Names the event for ever."},
        "meter": _METER,
        "quantity": _QUANTITY,
        "event_time": {
            "description": "RFC 3339 or Unix seconds, at most 400 days ago. Now, where none is.",
            "oneOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
        },
        "source": {**_TEXT, "description": "Who counted."},
        "dimensions": _DIMENSIONS,
    },
    "additionalProperties": False,
}
_CLOUD_EVENT = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "data"],
    "properties": {
        "specversion": {"type": "string", "enum": ["1.0"]},
        "id": _TEXT,
        "source": _TEXT,
        "type": _METER,
        "time": {"type": "string", "format": "date-time"},
        "data": _DATA,
    },
}


def several(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "maxItems": MAX_EVENTS}


_LIST = {"type": "object", "required": ["events"], "properties": {"events": several(_EVENT)}}
BODIES = {
    ExactJSONParser.media_type: {"oneOf": [_EVENT, several(_EVENT), _LIST, _DATA]},
    CloudEventParser.media_type: _CLOUD_EVENT,
    CloudEventBatchParser.media_type: several(_CLOUD_EVENT),
}
HEADERS = [
    OpenApiParameter(f"ce-{name}", str, OpenApiParameter.HEADER, description="Binary CloudEvents.")
    for name in ATTRIBUTES
]


class UsageIngestionView(ApiView):
    """Takes one event, an array of up to 1,000, or `{"events": […]}`; or CloudEvents 1.0:
    structured, batched, or binary (`ce-…` headers, the data as JSON in the body).

    All of a request's events are kept, or none. An event's key (of a CloudEvent, source and id
    together) names it for ever: sent again with the same payload it changes nothing, with another
    it is refused.
    """

    parser_classes = (ExactJSONParser, CloudEventParser, CloudEventBatchParser)

    @operation(
        "Send usage events",
        tag="usage",
        needs="usage.write",
        answer=IngestionOut,
        body=BODIES,
        parameters=HEADERS,
    )
    def post(self, request: Request) -> Response:
        done = usage_ingest(actor=self.actor, events=events_of(request))
        return Response(
            {
                "object": "usage.ingestion",
                "received": done.received,
                "accepted": done.accepted,
                "repeated": done.received - done.accepted,
            }
        )


def events_of(request: Request) -> list[NewUsage]:
    """The request's events, checked. Raises InvalidInput."""
    media_type = str(request.content_type).partition(";")[0].strip().lower()
    body: Any = request.data
    if media_type == CloudEventBatchParser.media_type:
        return external_events(_array(body), cloud_event)
    if media_type == CloudEventParser.media_type:
        return [cloud_event(body)]
    if any(f"ce-{name}" in request.headers for name in ATTRIBUTES):
        return [cloud_event({**attributes_of(request), "data": body})]
    if isinstance(body, Mapping) and "events" in body:
        if len(body) > 1:
            raise InvalidInput("`events` stands alone in its object", param="events")
        return external_events(_array(body["events"]), plain_event)
    return _one_or_more(body, plain_event)


def attributes_of(request: Request) -> dict[str, str]:
    """CloudEvents' attributes in binary mode: headers, their values percent-encoded."""
    return {
        name: unquote(request.headers[f"ce-{name}"])
        for name in ATTRIBUTES
        if f"ce-{name}" in request.headers
    }


def _one_or_more(body: Any, build: Callable[[Any], NewUsage]) -> list[NewUsage]:
    return external_events(body, build) if isinstance(body, list) else [build(body)]


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidInput("events come as a JSON array", param="events")
    return value
