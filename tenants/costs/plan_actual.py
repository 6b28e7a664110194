"""An adopted plan beside what happened: each whole month that has passed since. System scope.

Three costs of the same demand: what the plan foresaw, what its purchases make of the demand that
came, and what one would have bought who had known it. The difference of the last two is regret.
Beside them what the books say was spent on the plan's resources.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from tenants.costs.models import CostDay, CostEntry, PurchasePlan
from tenants.costs.plan_months import month_add, month_of, months_between
from tenants.costs.plan_report import costs_by_month, purchases_of, units_of
from tenants.costs.procurement import Programme
from tenants.costs.procurement_baselines import Units
from tenants.costs.procurement_case import Case, Floats
from tenants.costs.procurement_json import case_of

SOLVE_S, GAP = 2.0, 0.001  # a page waits for it
WORKED = (CostEntry.Purpose.JOB, CostEntry.Purpose.RETRY)
HOUR = 3600


@dataclass(frozen=True)
class MonthPassed:
    """Demand in slot-hours at planned utilisation, by class; `low` and `high` band the foreseen.

    Money in the currency of costs: `foreseen` by the plan, `came` with its purchases at the demand
    that came, `knowing` with the best ones for it, `paid` by the books.
    """

    month: dt.date
    demand: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    actual: Mapping[str, float]
    foreseen: float
    came: float
    knowing: float
    paid: Decimal


@dataclass(frozen=True)
class Passed:
    """`regret` is over all the months: knowing their demand, that much less would have been spent.

    `bought` is what one who knew would have bought, as a plan's purchases are told.
    """

    months: list[MonthPassed]
    regret: float
    bought: list[dict[str, Any]]


def plan_actual(plan: PurchasePlan, now: dt.datetime) -> Passed:
    """Compare a plan that was adopted, up to the month before `now`'s or up to its own end."""
    upto = month_of(now) if plan.ends is None else min(month_of(now), plan.ends)
    passed = min(max(0, months_between(plan.starts, upto)), plan.months)
    if plan.result is None or not passed:
        return Passed([], 0.0, [])
    classes = plan.drafted["case"]["classes"]
    actual, paid = _books(plan, passed)
    case = _case(plan, actual)
    came, knowing, best = regret_parts(case, units_of(case, plan.result["purchases"]))
    told = plan.result["demand"]
    months = [
        MonthPassed(
            month=month_add(plan.starts, t),
            demand={name: told[name]["mean"][t] for name in classes},
            low={name: told[name]["low"][t] for name in classes},
            high={name: told[name]["high"][t] for name in classes},
            actual={name: float(actual[c, t]) for c, name in enumerate(classes)},
            foreseen=plan.result["costs"]["total"][t],
            came=came[t],
            knowing=knowing[t],
            paid=paid[t],
        )
        for t in range(passed)
    ]
    regret = max(0.0, sum(came) - sum(knowing))
    return Passed(months, regret, purchases_of(case, best))


def regret_parts(case: Case, buy: Units) -> tuple[list[float], list[float], Units]:
    """By month, what purchases make of a case with one scenario, and what the best ones would; and
    these.
    """
    programme = Programme(case)
    best = programme.best(gap=GAP, seconds=SOLVE_S).buy
    came, knowing = (
        costs_by_month(case, units, programme.used(units))["total"] for units in (buy, best)
    )
    return came, knowing, best


def _case(plan: PurchasePlan, actual: Floats) -> Case:
    """The plan's case over the months that have passed, the demand that came its only scenario.

    Service is not asked for: what was short is paid for as such.
    """
    months = actual.shape[1]
    given = plan.drafted["case"]
    held = [{**row, "capacity": row["capacity"][:months]} for row in given["held"]]
    case = case_of({**given, "held": held, "demand": actual[None].tolist(), "weights": [1.0]})
    return replace(case, service=0.0)


def _books(plan: PurchasePlan, passed: int) -> tuple[Floats, list[Decimal]]:
    """Demand [classes, months] that came, and what was paid for the plan's resources by month."""
    classes = plan.drafted["case"]["classes"]
    places = {name: c for c, name in enumerate(classes)}
    resources = {name.rsplit(" ", 1)[0] for name in classes}
    hours = np.zeros((len(classes), passed))
    paid = [Decimal(0)] * passed
    rows = CostDay.objects.filter(
        day__gte=plan.starts, day__lt=month_add(plan.starts, passed), resource_id__in=resources
    )
    columns = ("day", "resource_id", "kind", "purpose", "seconds", "amount")
    for day, resource, kind, purpose, seconds, amount in rows.values_list(*columns):
        t = months_between(plan.starts, day)
        paid[t] += amount
        place = places.get(f"{resource} {kind}")
        if place is not None and purpose in WORKED:
            hours[place, t] += float(seconds) / HOUR
    return hours / float(plan.drafted["utilisation"]), paid
