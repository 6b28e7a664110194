"""Cost entries summed: whole UTC days from the sums that a trigger keeps, the rest from entries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, QuerySet, Sum, TextField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce, TruncDay, TruncHour

from tenants.costs.models import CostDay, CostEntry

DAY = dt.timedelta(days=1)
KEPT_BY_DAY = frozenset({"purpose", "resource", "tenant", "day", "kind", "base", "method"})


@dataclass(frozen=True)
class Stretch:
    """Part of a range: its entries, or (`daily`) their sums."""

    entries: Any
    daily: bool


def cost_stretches(
    *, since: dt.datetime | None, until: dt.datetime | None, fine: bool
) -> Iterator[Stretch]:
    """Cut [since, until) into whole days and what is left of it; sums of both add up.

    `fine`: what is asked for is not kept by the day.
    """
    first = None if since is None else midnight(since + DAY - dt.timedelta(microseconds=1))
    last = None if until is None else midnight(until)
    if fine or (first is not None and last is not None and first >= last):
        yield Stretch(between(since, until), daily=False)
        return
    yield Stretch(days_between(first, last), daily=True)
    if since != first:
        yield Stretch(between(since, first), daily=False)
    if until != last:
        yield Stretch(between(last, until), daily=False)


def grouped(rows: Any, group_by: Sequence[str], *, daily: bool) -> Iterator[tuple[Any, ...]]:
    """Yield (each grouping's value, amount, seconds, entries)."""
    groupings = _OF_DAYS if daily else _OF_ENTRIES
    columns = {f"by_{name}": groupings[name] for name in group_by}
    rows = rows.order_by().annotate(every=Value(0), **columns).values("every", *columns)
    seconds, number = ("seconds", Sum("entries")) if daily else ("quantity", Count("id"))
    totals = rows.annotate(in_all=Sum("amount"), time=Sum(seconds), number=number)
    for row in totals.values_list(*columns, "in_all", "time", "number"):
        if row[-1]:  # without groupings, nothing at all is a row too
            yield _with_time(row, group_by) if daily else row


def between(since: dt.datetime | None, until: dt.datetime | None) -> QuerySet[CostEntry]:
    """Return the entries that started in [since, until)."""
    entries: QuerySet[CostEntry] = CostEntry.objects.all()
    if since is not None:
        entries = entries.filter(started_at__gte=since)
    return entries if until is None else entries.filter(started_at__lt=until)


def days_between(since: dt.datetime | None, until: dt.datetime | None) -> QuerySet[CostDay]:
    """Return the sums of the days of [since, until), both midnights."""
    days: QuerySet[CostDay] = CostDay.objects.all()
    if since is not None:
        days = days.filter(day__gte=since.astimezone(dt.UTC).date())
    return days if until is None else days.filter(day__lt=until.astimezone(dt.UTC).date())


def midnight(moment: dt.datetime) -> dt.datetime:
    """The last UTC midnight up to `moment`."""
    return dt.datetime.combine(moment.astimezone(dt.UTC).date(), dt.time(), tzinfo=dt.UTC)


def _with_time(row: tuple[Any, ...], group_by: Sequence[str]) -> tuple[Any, ...]:
    """A day is told as its midnight, as those that come from entries are."""
    return tuple(
        dt.datetime.combine(value, dt.time(), tzinfo=dt.UTC) if name == "day" else value
        for value, name in zip(row, [*group_by, "", "", ""], strict=True)
    )


def _label(name: str) -> Any:
    return Coalesce(KeyTextTransform(name, "labels"), Value(""), output_field=TextField())


_OF_DAYS = {
    "purpose": F("purpose"),
    "resource": F("resource_id"),
    "tenant": F("tenant_id"),
    "day": F("day"),
    "kind": F("kind"),
    "base": F("base"),
    "method": F("method"),
}
_OF_ENTRIES = {
    "purpose": F("purpose"),
    "resource": F("resource_id"),
    "tenant": F("tenant_id"),
    "job": F("job_id"),
    "worker": F("worker"),
    "hour": TruncHour("started_at", tzinfo=dt.UTC),
    "day": TruncDay("started_at", tzinfo=dt.UTC),
    "kind": _label("kind"),
    "base": _label("base"),
    "method": _label("method"),
}
