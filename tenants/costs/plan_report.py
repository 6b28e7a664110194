"""A purchase plan worked out and told as JSON: purchases, months, baselines, sensitivity. Pure.

Estimates in float64: never posted. Runs in a worker's child, so nothing here knows the database.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from tenants.costs.forecasting import demand_forecast
from tenants.costs.procurement import Programme, Purchases, Used, purchase_cost, purchase_plan
from tenants.costs.procurement_baselines import Units, compare, unseen_costs
from tenants.costs.procurement_case import Case, Floats
from tenants.costs.procurement_json import case_of
from tenants.costs.sensitivity import changes, sensitivity

SOLVE_S, AGAIN_S = 20.0, 10.0
BAND = (0.05, 0.95)
BASELINES = ("nothing", "single_term", "rule_of_thumb", "clairvoyant")
Tell = Callable[[int, int], None]


def plan_case(drafted: Mapping[str, Any], *, seed: int | None = None, scenarios: int = 0) -> Case:
    """The case of a drafted plan: its demand is told from the weeks that it carries.

    `seed` and `scenarios` take the place of its own. Raises InvalidInput.
    """
    told = drafted["forecast"]
    demand = demand_forecast(
        drafted["weeks"],
        drafted["case"]["classes"],
        months=len(told["edges"]) - 1,
        scenarios=scenarios or told["scenarios"],
        seed=told["seed"] if seed is None else seed,
        edges=told["edges"],
    )
    return case_of({**drafted["case"], "demand": demand.tolist()})


def plan_work_out(
    drafted: Mapping[str, Any], tell: Tell = lambda _step, _of: None
) -> dict[str, Any]:
    """Solve a drafted plan and set it beside what else one could do.

    `tell(step, of)` is called after each step. Raises InvalidInput where nothing keeps the budget
    and the service asked for.
    """
    case, told = plan_case(drafted), drafted["forecast"]
    unseen = plan_case(drafted, seed=told["seed"] + 1, scenarios=told["unseen"]).demand
    parts = (case.offers, case.weights, unseen, list(changes(case)), drafted["suppliers"])
    steps = 1 + sum(len(part) for part in parts)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        tell(done, steps)

    plan = purchase_plan(case, seconds=SOLVE_S)
    step()
    baselines = asdict(compare(case, plan, tell=step))
    costs = unseen_costs(case, plan.buy, unseen, step)
    changed = sensitivity(case, plan.buy, seconds=AGAIN_S, tell=step)
    makes = []
    for supplier in drafted["suppliers"]:
        makes.append(make_or_buy_of(case, plan, supplier))
        step()
    return {
        "cost": plan.cost,
        "bound": plan.bound,
        "gap": max(0.0, plan.gap),
        "purchases": purchases_of(case, plan.buy),
        **by_month(case, plan.buy),
        "baselines": {name: finite(baselines[name]) for name in BASELINES},
        "unseen": unseen_told(costs),
        "sensitivity": [
            {
                "what": one.what,
                "factor": one.factor,
                "kept": finite(one.kept),
                "again": finite(one.again),
                "regret": finite(one.regret),
            }
            for one in changed
        ],
        "make_or_buy": makes,
    }


def purchases_of(case: Case, buy: Units) -> list[dict[str, Any]]:
    """What to buy when, by month and offer: `until` is the month it no longer serves."""
    return [
        {
            "month": t,
            "offer": offer.name,
            "units": int(buy[r, t]),
            "until": t + offer.months,
            "cost": offer.cost * int(buy[r, t]),
        }
        for t in range(case.months)
        for r, offer in enumerate(case.offers)
        if buy[r, t]
    ]


def units_of(case: Case, purchases: Sequence[Mapping[str, Any]]) -> Units:
    """Purchases as told by `purchases_of`, as [offers, months] again; later months are left out."""
    places = {offer.name: r for r, offer in enumerate(case.offers)}
    buy = np.zeros((len(case.offers), case.months), dtype=np.int64)
    for row in purchases:
        if row["month"] < case.months:
            buy[places[row["offer"]], row["month"]] += row["units"]
    return buy


def running(case: Case, buy: Units) -> Units:
    """The units [offers, months] that are within their term."""
    found = np.zeros_like(buy)
    for r, offer in enumerate(case.offers):
        for t in range(case.months):
            found[r, t : t + offer.months] += buy[r, t]
    return found


def costs_by_month(case: Case, buy: Units, used: Used) -> dict[str, list[float]]:
    """What each month costs, expected: purchases spread over what they serve of the horizon.

    With an end value of the whole remainder, `bought` is each month's part of the price. The rows
    sum to the programme's cost.
    """
    bought = np.zeros(case.months)
    for r, offer in enumerate(case.offers):
        for t in np.flatnonzero(buy[r]):
            served = min(offer.months, case.months - int(t))
            cost = purchase_cost(case, offer, int(t)) * int(buy[r, t])
            bought[t : t + served] += cost / served
    rows = {"bought": bought}
    for market, use in zip(case.markets, used.markets, strict=True):
        prices = np.array([market.prices.get(name, 0.0) for name in case.classes])
        rows[market.name] = prices @ use
    rows["short"] = np.array([case.penalty[name] for name in case.classes]) @ used.short
    rows["total"] = np.sum(list(rows.values()), axis=0)
    return {name: values.tolist() for name, values in rows.items()}


def by_month(case: Case, buy: Units) -> dict[str, Any]:
    """Demand with its band, committed capacity by offer, costs, and duals, month by month."""
    low, high = np.quantile(case.demand, BAND, axis=0)
    mean = np.tensordot(case.weights, case.demand, axes=1)
    whole = case.demand.sum(axis=1)
    units, used = running(case, buy), Programme(case).used(buy)
    return {
        "demand": {
            name: {"mean": mean[c].tolist(), "low": low[c].tolist(), "high": high[c].tolist()}
            for c, name in enumerate(case.classes)
        },
        "demand_in_all": {
            "mean": mean.sum(axis=0).tolist(),
            "low": np.quantile(whole, BAND[0], axis=0).tolist(),
            "high": np.quantile(whole, BAND[1], axis=0).tolist(),
        },
        "committed": {
            offer.name: (units[r] * offer.capacity).tolist()
            for r, offer in enumerate(case.offers)
            if units[r].any()
        },
        "held": [float(sum(row[t] for row in case.held.values())) for t in range(case.months)],
        "costs": costs_by_month(case, buy, used),
        "marginal": {name: row.tolist() for name, row in zip(case.classes, used.dual, strict=True)},
    }


def unseen_told(costs: Floats) -> dict[str, float]:
    """What the plan costs in scenarios that it has not seen: their mean and 90% band."""
    low, high = np.quantile(costs, BAND)
    return {
        "scenarios": len(costs),
        "mean": float(costs.mean()),
        "low": float(low),
        "high": float(high),
    }


def make_or_buy_of(case: Case, plan: Purchases, supplier: Mapping[str, Any]) -> dict[str, Any]:
    """A million tokens of a base served ourselves against a supplier's price.

    To make them costs what the plan does, less what the best plan without them would.
    """
    name, share = supplier["class"], supplier["share"]
    place = list(case.classes).index(name)
    without = case.demand.copy()
    without[:, place] *= 1 - share
    millions = float(np.tensordot(case.weights, case.demand, axes=1)[place].sum()) * share
    millions /= supplier["hours_per_million"]
    rest = purchase_plan(replace(case, demand=without), seconds=AGAIN_S).cost
    make, buy = max(0.0, plan.cost - rest) / millions, supplier["per_million"]
    return {
        "supplier": supplier["name"],
        "base": supplier["base"],
        "class": name,
        "millions": millions,
        "make": make,
        "buy": buy,
        "cheaper": "make" if make <= buy else "buy",
    }


def finite(value: float) -> float | None:
    """JSON knows no infinity."""
    return value if math.isfinite(value) else None
