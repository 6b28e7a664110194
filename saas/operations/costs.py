"""The cost explorer: what was spent by day, split by purpose, tenant or resource."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from django.db.models.functions import TruncDay
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console.figures import DayOfUsage, first_day, stacked_days, totals
from saas.console.words import COST_PURPOSES
from tenants.accounts.models import Tenant
from tenants.costs.models import CostEntry

RANGES = {7: _("7 days"), 30: _("30 days"), 90: _("90 days")}
GROUPS = {
    "purpose": _("By purpose"),
    "tenant_id": _("By tenant"),
    "resource_id": _("By resource"),
}


def costs(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    given = request.GET
    days = int(given["days"]) if given.get("days") in {str(d) for d in RANGES} else 30
    group = given["group"] if given.get("group") in GROUPS else "purpose"
    currencies = _currencies()
    currency = given.get("currency") if given.get("currency") in currencies else currencies[0]
    rows = daily_costs(group=group, days=days, currency=str(currency))
    return operations.page(
        request,
        "operations/costs.html",
        title=_("Costs"),
        chart={**stacked_days(rows, days=days), "unit": currency},
        totals=[(name, f"{total:.4f} {currency}") for name, total in totals(rows)],
        choices=[
            ("group", _("Split"), GROUPS.items(), group),
            ("days", _("Range"), RANGES.items(), days),
            ("currency", _("Currency"), [(c, c) for c in currencies], currency),
        ],
    )


def daily_costs(*, group: str, days: int, currency: str) -> list[DayOfUsage]:
    """Sums of one currency by UTC day and group, the group by its name."""
    since = dt.datetime.combine(first_day(days), dt.time(), tzinfo=dt.UTC)
    rows = (
        CostEntry.objects.filter(started_at__gte=since, currency=currency)
        .annotate(day=TruncDay("started_at", tzinfo=dt.UTC))
        .values("day", group)
        .annotate(total=Sum("amount"))
        .order_by("day", group)
    )
    names = _names(group)
    return [_day(row["day"], names.get(row[group], row[group]), row["total"]) for row in rows]


def _day(day: dt.datetime, name: Any, total: Decimal) -> DayOfUsage:
    return DayOfUsage(day.date(), str(name), total)


def _names(group: str) -> dict[str, Any]:
    if group == "purpose":
        return dict(COST_PURPOSES)
    if group == "tenant_id":
        return {"": _("Nobody's"), **dict(Tenant.objects.values_list("id", "name"))}
    return {}


def _currencies() -> list[str]:
    found = CostEntry.objects.order_by("currency").values_list("currency", flat=True).distinct()
    return list(found) or ["USD"]
