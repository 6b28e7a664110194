"""Usage by day, shaped for a chart. The shaping is pure; one query feeds it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from django.db.models.functions import TruncDay

from saas.console.words import METERS
from tenants.kernel.clock import now
from tenants.usage.selectors import usage_hours

DAYS = 30


@dataclass(frozen=True)
class DayOfUsage:
    """`quantity` of `group` (a meter, or a model) on one UTC day."""

    day: dt.date
    group: str
    quantity: Decimal


def daily_usage(*, prefix: str = "", group: str = "meter", days: int = DAYS) -> list[DayOfUsage]:
    """Sums of the last `days` UTC days, today included, of meters that begin with `prefix`.

    `group` is "meter" or a dimension, such as "model". Reads the tenant in scope.
    """
    since = dt.datetime.combine(first_day(days), dt.time(), tzinfo=dt.UTC)
    field = "meter" if group == "meter" else f"dimensions__{group}"
    rows = (
        usage_hours(since=since)
        .filter(meter__startswith=prefix)
        .annotate(day=TruncDay("hour", tzinfo=dt.UTC))
        .values("day", field)
        .annotate(total=Sum("quantity"))
        .order_by("day", field)
    )
    return [DayOfUsage(row["day"].date(), row[field] or "", row["total"]) for row in rows]


def first_day(days: int) -> dt.date:
    return now().astimezone(dt.UTC).date() - dt.timedelta(days=days - 1)


def stacked_days(
    rows: Sequence[DayOfUsage], *, days: int = DAYS, names: Mapping[str, Any] = METERS
) -> dict[str, Any]:
    """A stacked bar chart: a label for each day, a data set for each group, gaps as zero."""
    start = first_day(days)
    dates = [start + dt.timedelta(days=n) for n in range(days)]
    sums = {(row.day, row.group): float(row.quantity) for row in rows}
    groups = sorted({row.group for row in rows})
    return {
        "labels": [f"{date:%m-%d}" for date in dates],
        "datasets": [
            {
                "label": str(names.get(name, name)) or "–",
                "data": [sums.get((d, name), 0) for d in dates],
            }
            for name in groups
        ],
    }


def totals(rows: Sequence[DayOfUsage]) -> list[tuple[str, Decimal]]:
    """Each group's sum over all days, largest first."""
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums[row.group] = sums.get(row.group, Decimal(0)) + row.quantity
    return sorted(sums.items(), key=lambda item: (-item[1], item[0]))
