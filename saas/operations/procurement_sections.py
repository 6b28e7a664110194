"""What a purchase plan's page shows of its result: figures, the chart, tables, what happened."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.procurement_words import BASELINES, CHANGES, CHEAPER
from saas.console.readonly import Section
from tenants.costs.defaults import CURRENCY
from tenants.costs.models import PurchasePlan
from tenants.costs.plan_actual import MonthPassed, Passed
from tenants.costs.plan_months import month_add

Result = Mapping[str, Any]
NONE = show.NONE


def figures_of(result: Result) -> list[tuple[Any, str, Any]]:
    """What it costs, what it saves, how near the best it is, what it costs in demand unseen."""
    nothing = result["baselines"]["nothing"]
    saving = NONE if not nothing else share(1 - result["cost"] / nothing)
    unseen = result["unseen"]
    band = f"{cents(unseen['low'])} – {cents(unseen['high'])}"
    return [
        (_("Expected cost"), cents(result["cost"]), _("over all its months")),
        (_("Saved"), saving, _("against all on demand")),
        (_("Above the least possible"), share(result["gap"]), _("at most")),
        (_("In demand unseen"), cents(unseen["mean"]), band),
    ]


def plan_chart(plan: PurchasePlan, result: Result) -> dict[str, Any]:
    """Committed capacity, stacked, under the demand's mean and band, in slot-hours a month."""
    bars = [(name, data) for name, data in sorted(result["committed"].items())]
    if any(result["held"]):
        bars.insert(0, (gettext("Held before"), result["held"]))
    demand = result["demand_in_all"]
    lines = [
        (gettext("Demand, foreseen"), demand["mean"]),
        (gettext("Demand, 5%"), demand["low"]),
        (gettext("Demand, 95%"), demand["high"]),
    ]
    return {
        "labels": [label(plan, t) for t in range(plan.months)],
        "unit": gettext("Slot-hours"),
        "datasets": [
            *({"label": name, "data": data} for name, data in bars),
            *({"label": name, "data": data, "line": True} for name, data in lines),
        ],
    }


def sections_of(plan: PurchasePlan, result: Result) -> list[Section]:
    """The tables below the chart; one without rows is left out."""
    sections = [
        Section(_("What to buy"), _purchases(plan), result["purchases"]),
        Section(_("Beside what else one could do"), _BASELINES, _baselines(result)),
        Section(_("Where an assumption is wrong"), _SENSITIVITY, result["sensitivity"]),
        Section(_("Make or buy: a million tokens"), _MAKE, result["make_or_buy"]),
        Section(_("What each month costs"), _MONTHS, _months(plan, result)),
    ]
    return [section for section in sections if section.rows]


def actual_of(plan: PurchasePlan, passed: Passed) -> dict[str, Any]:
    """The months that have passed, as chart and table; nothing before there are any."""
    if not passed.months:
        return {"actual": None}
    series = [
        (gettext("By the plan"), [m.foreseen for m in passed.months]),
        (gettext("Its purchases, at the demand that came"), [m.came for m in passed.months]),
        (gettext("Knowing the demand"), [m.knowing for m in passed.months]),
        (gettext("Paid, by the books"), [float(m.paid) for m in passed.months]),
    ]
    return {
        "actual": Section(_("Month by month"), _PASSED, passed.months),
        "actual_chart": {
            "labels": [f"{m.month:%Y-%m}" for m in passed.months],
            "unit": CURRENCY,
            "apart": True,
            "datasets": [{"label": name, "data": data} for name, data in series],
        },
        "regret": cents(passed.regret),
        "bought": Section(_("What one who knew would have bought"), _purchases(plan), passed.bought)
        if passed.bought
        else None,
    }


def label(plan: PurchasePlan, month: int) -> str:
    return f"{month_add(plan.starts, month):%Y-%m}"


def cents(value: float | None) -> str:
    return NONE if value is None else show.as_cents(Decimal(repr(value)), CURRENCY)


def share(value: float) -> str:
    return show.as_percent(Decimal(repr(value)))


def _of(name: str) -> Any:
    return lambda row: row[name]


def _money(name: str, label_: Any) -> show.Cell:
    return show.right(show.column(lambda row: cents(row[name]), label_))


def _purchases(plan: PurchasePlan) -> tuple[show.Cell, ...]:
    return (
        show.column(lambda row: label(plan, row["month"]), _("Month")),
        show.column(_of("offer"), _("Offer")),
        show.right(show.column(_of("units"), _("Units"))),
        show.column(lambda row: label(plan, row["until"]), _("Serves until")),
        _money("cost", _("Over its term")),
    )


def _baselines(result: Result) -> list[dict[str, Any]]:
    rows = [{"name": _("This plan"), "cost": result["cost"], "more": 0.0}]
    for name, cost in result["baselines"].items():
        more = None if cost is None else cost - result["cost"]
        rows.append({"name": BASELINES[name], "cost": cost, "more": more})
    return rows


def _months(plan: PurchasePlan, result: Result) -> list[dict[str, Any]]:
    costs = result["costs"]
    return [
        {
            "month": label(plan, t),
            "bought": costs["bought"][t],
            "on_demand": costs["on demand"][t],
            "spot": costs["spot"][t] if "spot" in costs else None,
            "short": costs["short"][t],
            "total": costs["total"][t],
        }
        for t in range(plan.months)
    ]


def _change(row: Mapping[str, Any]) -> str:
    name = str(CHANGES.get(row["what"], row["what"]))
    return name if not row["factor"] else f"{name} {row['factor'] - 1:+.0%}"


def _told(values: Mapping[str, float]) -> str:
    return " · ".join(f"{name}: {value:,.0f}" for name, value in sorted(values.items()))


def _band(row: MonthPassed) -> str:
    return " · ".join(
        f"{name}: {row.demand[name]:,.0f} ({row.low[name]:,.0f} – {row.high[name]:,.0f})"
        for name in sorted(row.demand)
    )


_BASELINES = (
    show.column(_of("name"), _("Way")),
    _money("cost", _("Expected cost")),
    _money("more", _("More than this plan")),
)
_SENSITIVITY = (
    show.column(_change, _("What changes")),
    _money("kept", _("This plan's cost then")),
    _money("again", _("The best plan's cost then")),
    _money("regret", _("Regret")),
)
_MAKE = (
    show.column(_of("supplier"), _("Supplier")),
    show.column(_of("base"), _("Base model")),
    show.right(show.column(lambda row: f"{row['make']:.4f} {CURRENCY}", _("To serve it"))),
    show.right(show.column(lambda row: f"{row['buy']:.4f} {CURRENCY}", _("To buy it"))),
    show.column(lambda row: CHEAPER[row["cheaper"]], _("Cheaper")),
)
_MONTHS = (
    show.column(_of("month"), _("Month")),
    _money("bought", _("Bought ahead")),
    _money("on_demand", _("On demand")),
    _money("spot", _("Spot")),
    _money("short", _("What lacks")),
    _money("total", _("In all")),
)
_PASSED = (
    show.derived("month", _("Month"), lambda month: f"{month:%Y-%m}"),
    show.column(_band, _("Slot-hours foreseen (90%)")),
    show.derived("actual", _("Slot-hours that came"), _told),
    show.right(show.derived("foreseen", _("By the plan"), cents)),
    show.right(show.derived("came", _("Its purchases, at the demand that came"), cents)),
    show.right(show.derived("knowing", _("Knowing the demand"), cents)),
    show.right(
        show.derived("paid", _("Paid, by the books"), partial(show.as_cents, currency=CURRENCY))
    ),
)
