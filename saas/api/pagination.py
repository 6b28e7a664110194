"""Lists: `{object: "list", data, has_more, first_id, last_id}`, walked with `after`.

https://platform.openai.com/docs/api-reference/files/list
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

_ID = re.compile(r"^[a-z_]{2,12}[-_][0-9a-z_]{4,26}$")


class PageQuery(serializers.Serializer[Any]):
    """Which part of a list."""

    after = serializers.CharField(
        required=False, max_length=64, help_text="The last id of the page before."
    )
    limit = serializers.IntegerField(
        required=False, default=20, min_value=1, max_value=100, help_text="How many at most."
    )
    order = serializers.ChoiceField(
        required=False, default="desc", choices=["asc", "desc"], help_text="By time of making."
    )

    def validate_after(self, value: str) -> str:
        if not _ID.match(value):
            raise serializers.ValidationError(f"{value!r} is no id of this list")
        return value


def page(
    rows: QuerySet[Any], query: Mapping[str, Any], render: Callable[[Any], Mapping[str, Any]]
) -> dict[str, Any]:
    """One page of `rows`, whose ids sort by time of making. One query."""
    after, limit, descending = query.get("after"), query["limit"], query["order"] == "desc"
    if after:
        rows = rows.filter(id__lt=after) if descending else rows.filter(id__gt=after)
    found = list(rows.order_by("-id" if descending else "id")[: limit + 1])
    return listing(map(render, found[:limit]), has_more=len(found) > limit)


def listing(items: Iterable[Mapping[str, Any]], *, has_more: bool = False) -> dict[str, Any]:
    data = list(items)
    return {
        "object": "list",
        "data": data,
        "has_more": has_more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def checked_query(kind: type[serializers.Serializer[Any]], given: Mapping[str, Any]) -> Any:
    """Read the query string by `kind`. Raises ValidationError, naming the parameter."""
    query = kind(data=given)
    query.is_valid(raise_exception=True)
    return query.validated_data
