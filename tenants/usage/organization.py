"""The organization/usage/* pages in OpenAI's shape, for the tenant in scope.

https://platform.openai.com/docs/api-reference/usage
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from django.db.models import Q, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import TruncDay, TruncHour, TruncMinute

from tenants.kernel.clock import now
from tenants.kernel.errors import InvalidInput
from tenants.usage.buckets import USAGE_WIDTHS, BucketPage, bucket_page
from tenants.usage.selectors import Stretch, usage_events, usage_stretches

Json = dict[str, Any]


@dataclass(frozen=True)
class UsageKind:
    """One of OpenAI's usage endpoints: which meters add up to which field of a result.

    `requests` names the endpoints whose calls are counted in the field `requests_field`.
    """

    result: str
    fields: Mapping[str, tuple[str, ...]]
    requests: tuple[str, ...] = ()
    requests_field: str = "num_model_requests"
    group_by: tuple[str, ...] = ("project_id", "user_id", "api_key_id", "model")


# What this platform does not offer yet has no meters: its pages are true, and empty.
KINDS: dict[str, UsageKind] = {
    "completions": UsageKind(
        "organization.usage.completions.result",
        {
            "input_tokens": ("tokens.input", "tokens.cached"),
            "input_cached_tokens": ("tokens.cached",),
            "input_uncached_tokens": ("tokens.input",),
            "output_tokens": ("tokens.output",),
        },
        requests=("chat.completions", "completions"),
        group_by=(
            "project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source",
        ),
    ),
    "embeddings": UsageKind(
        "organization.usage.embeddings.result",
        {"input_tokens": ("tokens.embedded",)},
        requests=("embeddings",),
    ),
    "moderations": UsageKind("organization.usage.moderations.result", {}),
    "images": UsageKind("organization.usage.images.result", {}),
    "audio_speeches": UsageKind("organization.usage.audio_speeches.result", {}),
    "audio_transcriptions": UsageKind("organization.usage.audio_transcriptions.result", {}),
    "vector_stores": UsageKind("organization.usage.vector_stores.result", {}),
    "code_interpreter_sessions": UsageKind(
        "organization.usage.code_interpreter_sessions.result", {}
    ),
}  # fmt: skip

_STORED = {"user_id", "api_key_id", "model", "batch"}  # what our events carry; the rest is null
_TRUNCATE: dict[str, Callable[..., Any]] = {"1m": TruncMinute, "1h": TruncHour, "1d": TruncDay}
QUANTITY_UNITS = {"token": "tokens", "hour": "duration_hours", "slot-second": "duration_seconds"}


@dataclass(frozen=True)
class UsageQuery:
    """What a usage or costs page was asked for.

    `filters`: dimension → accepted values (none: all). `batch` keeps batch work, or all else.
    """

    start_time: int
    end_time: int | None = None
    bucket_width: str = "1d"
    group_by: Sequence[str] = ()
    filters: Mapping[str, Sequence[str]] | None = None
    batch: bool | None = None
    limit: int | None = None
    page: str | None = None


@dataclass(frozen=True)
class _Row:
    floor: int
    meter: str
    group: tuple[str | None, ...]
    endpoint: str | None
    quantity: Decimal


def usage_page(kind: str, query: UsageQuery) -> Json:
    """Return one page of usage buckets (`UsageCompletionsResponse` and its siblings).

    Raises InvalidInput for a bad width, limit, range, cursor, filter or grouping.
    """
    wanted = KINDS[kind]
    check_groups(query.group_by, wanted.group_by)
    page = query_page(query, USAGE_WIDTHS)
    meters = {meter for names in wanted.fields.values() for meter in names}
    rows = _rows(page, query, {*meters, "requests"}) if meters else []
    relevant = [r for r in rows if r.meter != "requests" or r.endpoint in wanted.requests]

    def result(group: tuple[str | None, ...], members: Sequence[_Row]) -> Json:
        sums = {field: _sum(members, names) for field, names in wanted.fields.items()}
        return {
            "object": wanted.result,
            **{field: int(total) for field, total in sums.items()},
            wanted.requests_field: int(_sum(members, ("requests",))),
            **named(query.group_by, group, wanted.group_by),
        }

    return render(page, relevant, result)


def query_page(query: UsageQuery, widths: Mapping[str, Any]) -> BucketPage:
    """The buckets that a query asks for. Raises InvalidInput."""
    return bucket_page(
        start_time=query.start_time,
        end_time=query.end_time,
        width=query.bucket_width,
        limit=query.limit,
        page=query.page,
        widths=dict(widths),
        now=int(now().timestamp()),
    )


def _rows(page: BucketPage, query: UsageQuery, meters: set[str]) -> list[_Row]:
    """Sums by bucket, meter, endpoint and group."""
    if not page.buckets:
        return []
    filters = {name: values for name, values in (query.filters or {}).items() if values}
    if not filters.keys() <= _STORED:
        return []  # no event carries a project: none matches
    rows = [
        row
        for stretch in _stretches(page, query, filters)
        for row in _grouped(stretch, query, meters)
    ]
    return sorted(rows, key=_in_order)


def _stretches(
    page: BucketPage, query: UsageQuery, filters: Mapping[str, Sequence[str]]
) -> Iterable[Stretch]:
    """Hours are too coarse for buckets of minutes."""
    if query.bucket_width == "1m":
        events = usage_events(since=page.since, until=page.until, where=filters)
        return [Stretch(events, "event_time")]
    return usage_stretches(since=page.since, until=page.until, where=filters)


def _grouped(stretch: Stretch, query: UsageQuery, meters: set[str]) -> Iterator[_Row]:
    rows = stretch.rows.filter(meter__in=meters).order_by()
    if query.batch is not None:
        batches = Q(dimensions__contains={"batch": "true"})
        rows = rows.filter(batches if query.batch else ~batches)
    names = {f"by_{n}": KeyTextTransform(n, "dimensions") for n in query.group_by if n in _STORED}
    grouped = rows.annotate(
        bucket=_TRUNCATE[query.bucket_width](stretch.time, tzinfo=dt.UTC),
        endpoint=KeyTextTransform("endpoint", "dimensions"),
        **names,
    )
    totals = grouped.values("bucket", "meter", "endpoint", *names).annotate(total=Sum("quantity"))
    for row in totals:
        yield _Row(
            floor=int(row["bucket"].timestamp()),
            meter=row["meter"],
            group=tuple(_group_value(name, row) for name in query.group_by),
            endpoint=row["endpoint"],
            quantity=row["total"],
        )


def _in_order(row: _Row) -> tuple[Any, ...]:
    texts = (row.meter, row.endpoint, *row.group)
    return (row.floor, *((text is None, text or "") for text in texts))


def _group_value(name: str, row: Mapping[str, Any]) -> str | None:
    if name == "api_source":
        return "unlabeled"
    value: str | None = row.get(f"by_{name}")
    return value


class Grouped(Protocol):
    """A row of a page: `floor` is its bucket's, `group` the values grouped by."""

    @property
    def floor(self) -> int: ...
    @property
    def group(self) -> tuple[str | None, ...]: ...


R = TypeVar("R", bound=Grouped)


def render(
    page: BucketPage,
    rows: Sequence[R],
    result: Callable[[tuple[str | None, ...], Sequence[R]], Json],
) -> Json:
    """Lay rows on a page's buckets; `result` makes one of each group's rows."""
    by_bucket: dict[int, dict[tuple[str | None, ...], list[R]]] = {}
    for row in rows:
        by_bucket.setdefault(row.floor, {}).setdefault(row.group, []).append(row)
    data = [
        {
            "object": "bucket",
            "start_time": bucket.start,
            "end_time": bucket.end,
            "results": [result(g, m) for g, m in by_bucket.get(bucket.floor, {}).items()],
        }
        for bucket in page.buckets
    ]
    more = page.next_page is not None
    return {"object": "page", "data": data, "has_more": more, "next_page": page.next_page}


def named(chosen: Sequence[str], group: tuple[str | None, ...], all_names: Sequence[str]) -> Json:
    """Every name a page may group by, with its value where it was chosen, else null."""
    values: Json = dict.fromkeys(all_names)
    values.update(zip(chosen, group, strict=True))
    if "batch" in chosen:
        values["batch"] = values["batch"] == "true"
    return values


def _sum(rows: Sequence[_Row], meters: Sequence[str]) -> Decimal:
    return sum((row.quantity for row in rows if row.meter in meters), Decimal(0))


def check_groups(chosen: Sequence[str], allowed: Sequence[str]) -> None:
    """Raises InvalidInput."""
    for name in chosen:
        if name not in allowed:
            raise InvalidInput(f"group_by takes {', '.join(allowed)}, not {name}", param="group_by")
