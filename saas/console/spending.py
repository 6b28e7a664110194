"""Spend by day, shaped for a chart: what charges came to, net of tax, by line, model or key."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from django.db.models import Sum

from saas.console.figures import DayOfUsage, first_day
from tenants.pricing.models import ChargeLine

GROUPS = {"revenue": "revenue", "model": "model", "key": "api_key_id"}


def daily_spend(*, group: str, days: int, currency: str) -> list[DayOfUsage]:
    """Net amounts of the last `days` UTC days, today included, by a group of `GROUPS`.

    Reads the tenant in scope.
    """
    field = GROUPS[group]
    rows = (
        ChargeLine.objects.filter(day__gte=first_day(days), currency=currency)
        .values("day", field)
        .annotate(total=Sum("net"))
        .order_by("day", field)
    )
    return [DayOfUsage(row["day"], row[field], row["total"]) for row in rows]


def spent_since(day: dt.date, currency: str) -> Decimal:
    """Net of tax."""
    rows = ChargeLine.objects.filter(day__gte=day, currency=currency)
    return rows.aggregate(total=Sum("net"))["total"] or Decimal(0)
