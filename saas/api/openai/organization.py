"""Usage and costs of the organisation. https://platform.openai.com/docs/api-reference/usage"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import MAX_TIME, Constant
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.pricing.organization import COST_GROUPS, costs_page
from tenants.usage.buckets import COST_WIDTHS, USAGE_WIDTHS
from tenants.usage.organization import KINDS, UsageQuery, usage_page

MOST = max(limits.most for limits in [*USAGE_WIDTHS.values(), *COST_WIDTHS.values()])
_LISTS = {"api_key_ids": "api_key_id", "models": "model", "user_ids": "user_id"} | {
    "project_ids": "project_id"
}


class _Words(serializers.ListField):
    """A parameter that may come several times: `models=a&models=b`, or `models[]=a`."""

    child = serializers.CharField(max_length=160)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=100, **kwargs)


class BucketsQuery(serializers.Serializer[Any]):
    start_time = serializers.IntegerField(min_value=0, max_value=MAX_TIME)
    end_time = serializers.IntegerField(required=False, min_value=1, max_value=MAX_TIME)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=MOST)
    page = serializers.CharField(required=False, max_length=40)
    group_by = _Words(help_text=f"Of {', '.join(COST_GROUPS)}.")
    api_key_ids = _Words()
    project_ids = _Words()


class CostsQuery(BucketsQuery):
    bucket_width = serializers.ChoiceField(sorted(COST_WIDTHS), required=False, default="1d")


class UsagesQuery(BucketsQuery):
    bucket_width = serializers.ChoiceField(sorted(USAGE_WIDTHS), required=False, default="1d")
    models = _Words()
    user_ids = _Words()
    batch = serializers.BooleanField(required=False, allow_null=True, default=None)


class BucketOut(serializers.Serializer[Any]):
    object = Constant("bucket")
    start_time = serializers.IntegerField()
    end_time = serializers.IntegerField()
    results = serializers.ListField(child=serializers.DictField())


class BucketPageOut(serializers.Serializer[Any]):
    object = Constant("page")
    data = BucketOut(many=True)  # type: ignore[assignment]
    has_more = serializers.BooleanField()
    next_page = serializers.CharField(allow_null=True)


def unbracketed(given: QueryDict) -> dict[str, Any]:
    """`group_by[]=a&group_by[]=b` (as the SDK sends it) and `group_by=a,b` in one form."""
    found: dict[str, Any] = {}
    for name, values in given.lists():
        plain = name.removesuffix("[]")
        if plain == "group_by" or plain in _LISTS:
            words = [word for value in values for word in value.split(",")]
            found[plain] = [*found.get(plain, []), *words]
        else:
            found[plain] = values[-1]
    return found


def usage_query(sent: Mapping[str, Any]) -> UsageQuery:
    filters = {column: sent[name] for name, column in _LISTS.items() if sent.get(name)}
    return UsageQuery(
        start_time=sent["start_time"],
        end_time=sent.get("end_time"),
        bucket_width=sent["bucket_width"],
        group_by=tuple(dict.fromkeys(sent.get("group_by", ()))),
        filters=filters,
        batch=sent.get("batch"),
        limit=sent.get("limit"),
        page=sent.get("page"),
    )


def usage_view(kind: str) -> type[ApiView]:
    """The view of one of OpenAI's usage endpoints."""

    class UsageView(ApiView):
        @operation(
            f"Usage of {kind.replace('_', ' ')} by time",
            tag="organization",
            needs="usage.read",
            answer=BucketPageOut,
            query=UsagesQuery,
        )
        def get(self, request: Request) -> Response:
            sent = self.query(UsagesQuery, unbracketed(request.query_params))
            return Response(usage_page(kind, usage_query(sent)))

    return UsageView


class CostsView(ApiView):
    """What you were charged, net of tax, by whole UTC days."""

    @operation(
        "Costs by day",
        tag="organization",
        needs="costs.read",
        answer=BucketPageOut,
        query=CostsQuery,
    )
    def get(self, request: Request) -> Response:
        sent = self.query(CostsQuery, unbracketed(request.query_params))
        return Response(costs_page(usage_query(sent)))


USAGE_VIEWS = {kind: usage_view(kind) for kind in KINDS}
