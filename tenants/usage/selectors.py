"""Reads of usage, in the scope in force: a tenant's own, or everyone's for the system.

Sums come from `usage_hour` for the whole hours of a range, and from events for the rest of it and
for dimensions that the hours do not keep.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import DateField, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import TruncMonth

from tenants.usage.meters import METERS, UNSUMMED
from tenants.usage.models import UsageEvent, UsageHour

HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class UsageTotal:
    """`quantity` of `meter`; `dimensions` holds the values grouped by, None where unset."""

    meter: str
    dimensions: Mapping[str, str | None]
    quantity: Decimal


@dataclass(frozen=True)
class Stretch:
    """Part of a range: `rows` have a meter, dimensions, a quantity, and a moment in `time`."""

    rows: Any
    time: str


def usage_events(
    *,
    meter: str = "",
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
) -> QuerySet[UsageEvent]:
    """Return events of [since, until) whose dimensions have one of the values in `where`."""
    rows: QuerySet[UsageEvent] = UsageEvent.objects.filter(**({"meter": meter} if meter else {}))
    chosen: QuerySet[UsageEvent] = _chosen(rows, "event_time", since, until, where)
    return chosen


def usage_late(since: dt.datetime, until: dt.datetime) -> set[tuple[str, dt.date]]:
    """Return (tenant id, its UTC month) of events that came in [since, until), for a month that was
    over at `since`. System scope.
    """
    came: QuerySet[UsageEvent] = UsageEvent.objects.filter(
        ingested_at__gte=since, ingested_at__lt=until, event_time__lt=since
    )
    month = TruncMonth("event_time", output_field=DateField(), tzinfo=dt.UTC)
    return set(came.order_by().annotate(month=month).values_list("tenant_id", "month").distinct())


def usage_hours(
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
) -> QuerySet[UsageHour]:
    """Return the hours that begin in [since, until)."""
    chosen: QuerySet[UsageHour] = _chosen(UsageHour.objects.all(), "hour", since, until, where)
    return chosen


def usage_stretches(
    *,
    since: dt.datetime | None,
    until: dt.datetime | None,
    where: Mapping[str, Sequence[str]] | None = None,
    dimensions: Collection[str] = (),
) -> Iterator[Stretch]:
    """Cut [since, until) into whole hours and what is left of it; sums of both add up.

    `dimensions`: what will be grouped by. Events alone, where the hours do not keep them.
    """
    first = None if since is None else _ceiling(since)
    last = None if until is None else _floor(until)
    fine = UNSUMMED & {*dimensions, *(where or ())}
    if fine or (first is not None and last is not None and first >= last):
        yield Stretch(usage_events(since=since, until=until, where=where), "event_time")
        return
    yield Stretch(usage_hours(since=first, until=last, where=where), "hour")
    if since != first:
        yield Stretch(usage_events(since=since, until=first, where=where), "event_time")
    if until != last:
        yield Stretch(usage_events(since=last, until=until, where=where), "event_time")


def usage_totals(
    *,
    meters: Sequence[str] = (),
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
    group_by: Sequence[str] = (),
) -> list[UsageTotal]:
    """Sum each meter over [since, until), apart for every value of the dimensions `group_by`."""
    names = {f"by_{name}": KeyTextTransform(name, "dimensions") for name in group_by}
    sums: dict[tuple[str | None, ...], Decimal] = {}
    for stretch in usage_stretches(since=since, until=until, where=where, dimensions=group_by):
        rows = stretch.rows.filter(meter__in=meters) if meters else stretch.rows
        grouped = rows.order_by().annotate(**names).values_list("meter", *names)
        for *key, total in grouped.annotate(total=Sum("quantity")):
            sums[tuple(key)] = sums.get(tuple(key), Decimal(0)) + total
    return [
        UsageTotal(str(key[0]), dict(zip(group_by, key[1:], strict=True)), total)
        for key, total in sorted(sums.items(), key=_nulls_last)
    ]


def usage_total(
    meters: str | Sequence[str],
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
) -> Decimal:
    """Return the sum of one meter, or of several with one unit, over [since, until)."""
    chosen = [meters] if isinstance(meters, str) else list(meters)
    if len({METERS[name].unit for name in chosen}) != 1:
        raise ValueError(f"cannot add meters of different units: {', '.join(chosen)}")
    totals = usage_totals(meters=chosen, since=since, until=until, where=where)
    return sum((total.quantity for total in totals), Decimal(0))


def _chosen(
    rows: Any,
    time: str,
    since: dt.datetime | None,
    until: dt.datetime | None,
    where: Mapping[str, Sequence[str]] | None,
) -> Any:
    """Dimensions with a column of their own are compared there: it is indexed."""
    columns = {field.name for field in rows.model._meta.get_fields()}  # noqa: SLF001 -- Django's way
    if since is not None:
        rows = rows.filter(**{f"{time}__gte": since})
    if until is not None:
        rows = rows.filter(**{f"{time}__lt": until})
    for name, values in (where or {}).items():
        column = name
        if name not in columns:
            column = f"where_{name}"
            rows = rows.alias(**{column: KeyTextTransform(name, "dimensions")})
        rows = rows.filter(**{f"{column}__in": list(values)})
    return rows


def _nulls_last(item: tuple[tuple[str | None, ...], Decimal]) -> list[tuple[bool, str]]:
    return [(value is None, value or "") for value in item[0]]


def _floor(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)


def _ceiling(moment: dt.datetime) -> dt.datetime:
    floor = _floor(moment)
    return floor if floor == moment else floor + HOUR
