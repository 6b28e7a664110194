"""Reads of usage, in the scope in force: a tenant's own, or everyone's for the system."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform

from tenants.usage.meters import METERS
from tenants.usage.models import UsageEvent


@dataclass(frozen=True)
class UsageTotal:
    """`quantity` of `meter`; `dimensions` holds the values grouped by, None where unset."""

    meter: str
    dimensions: Mapping[str, str | None]
    quantity: Decimal


def usage_events(
    *,
    meter: str = "",
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
) -> QuerySet[UsageEvent]:
    """Return events of [since, until) whose dimensions have one of the values in `where`."""
    chosen = Q()
    if meter:
        chosen &= Q(meter=meter)
    if since is not None:
        chosen &= Q(event_time__gte=since)
    if until is not None:
        chosen &= Q(event_time__lt=until)
    for name, values in (where or {}).items():
        chosen &= Q(**{f"dimensions__{name}__in": list(values)})
    rows: QuerySet[UsageEvent] = UsageEvent.objects.filter(chosen)
    return rows


def usage_totals(
    *,
    meters: Sequence[str] = (),
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    where: Mapping[str, Sequence[str]] | None = None,
    group_by: Sequence[str] = (),
) -> list[UsageTotal]:
    """Sum each meter over [since, until), apart for every value of the dimensions `group_by`."""
    rows = usage_events(since=since, until=until, where=where)
    if meters:
        rows = rows.filter(meter__in=meters)
    names = {f"by_{name}": KeyTextTransform(name, "dimensions") for name in group_by}
    grouped: Any = rows.order_by().annotate(**names).values("meter", *names)
    return [
        UsageTotal(
            meter=row["meter"],
            dimensions={name: row[f"by_{name}"] for name in group_by},
            quantity=row["total"],
        )
        for row in grouped.annotate(total=Sum("quantity")).order_by("meter", *names)
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
