"""The cost explorer: what was spent by day, split by purpose, tenant or resource; unit costs."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.columns import as_number
from saas.console.figures import DayOfUsage, first_day, stacked_days, totals
from saas.console.waste_words import LEVERS
from saas.console.words import COST_PURPOSES, JOB_KINDS
from tenants.accounts.models import Tenant
from tenants.costs.daily import DAY, midnight
from tenants.costs.defaults import CURRENCY
from tenants.costs.explorer import Group, costs_by_day
from tenants.costs.levers import levers_newest
from tenants.costs.selectors import unit_costs
from tenants.costs.unit_economics import UnitEconomics, unit_economics
from tenants.kernel.clock import now
from tenants.kernel.money import Money
from workers.jobs.compression_costs import compression_costs

COMPRESSIONS_SHOWN = 20
RANGES = {7: _("7 days"), 30: _("30 days"), 90: _("90 days")}
GROUPS: dict[Group, Any] = {
    "purpose": _("By purpose"),
    "tenant": _("By tenant"),
    "resource": _("By resource"),
    "base": _("By base model"),
}


def costs(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    given = request.GET
    days = int(given["days"]) if given.get("days") in {str(d) for d in RANGES} else 30
    group: Group = next((name for name in GROUPS if name == given.get("group")), "purpose")
    rows = daily_costs(group=group, days=days)
    names = _names("tenant")
    return operations.page(
        request,
        "operations/costs.html",
        title=_("Costs"),
        chart={**stacked_days(rows, days=days), "unit": CURRENCY},
        totals=[(name, f"{total:.4f} {CURRENCY}") for name, total in totals(rows)],
        units=[
            (JOB_KINDS.get(kind, kind), base, as_number(unit.tokens), shown(unit.per_million))
            for kind, base, unit in unit_costs(since=since_midnight(days))
        ],
        economics=(three := unit_economics(since=since_midnight(days), until=tomorrow())),
        economics_chart=economics_chart(three),
        levers=[
            (
                LEVERS[row.lever],
                show.as_percent(Decimal(repr(row.point))),
                f"{row.low:.1%} – {row.high:.1%}",
                f"{row.saved:.4f} {row.currency}",
                row.sample,
            )
            for row in levers_newest()
        ],
        compressed=[
            (
                cost.job.id,
                names.get(cost.job.tenant_id, ""),
                cost.job.spec["base_id"],
                shown(cost.before.cost),
                shown(cost.after.cost),
                shown(cost.before.floor),
                shown(cost.after.floor),
            )
            for cost in compression_costs(COMPRESSIONS_SHOWN)
        ],
        choices=[
            ("group", _("Split"), GROUPS.items(), group),
            ("days", _("Range"), RANGES.items(), days),
        ],
    )


def daily_costs(*, group: Group, days: int) -> list[DayOfUsage]:
    """Sums by UTC day and group, the group by its name; the smaller groups as one."""
    names = {None: _("All others"), **_names(group)}
    return [
        DayOfUsage(row.day, str(names.get(row.group, row.group or _("Nobody's"))), row.amount)
        for row in costs_by_day(group=group, since=since_midnight(days))
    ]


def economics_chart(rows: list[UnitEconomics]) -> dict[str, Any]:
    """What a million tokens cost: three bars for each class of work."""
    series: list[tuple[Any, list[Decimal]]] = [
        (_("Short-run marginal"), [row.short_run for row in rows]),
        (_("Long-run average"), [row.long_run for row in rows]),
        (_("Its upper bound"), [row.long_run_high for row in rows]),
    ]
    return {
        "labels": [f"{JOB_KINDS.get(row.kind, row.kind)} · {row.base}" for row in rows],
        "unit": CURRENCY,
        "apart": True,
        "datasets": [
            {"label": str(label), "data": [float(value) for value in values]}
            for label, values in series
        ],
    }


def tomorrow() -> dt.datetime:
    return midnight(now() + DAY)


def shown(money: Money | None) -> str:
    return "–" if money is None else f"{money.amount:.4f} {money.currency}"


def since_midnight(days: int) -> dt.datetime:
    return dt.datetime.combine(first_day(days), dt.time(), tzinfo=dt.UTC)


def _names(group: Group) -> dict[Any, Any]:
    if group == "purpose":
        return dict(COST_PURPOSES)
    return dict(Tenant.objects.values_list("id", "name")) if group == "tenant" else {}
