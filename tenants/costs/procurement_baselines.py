"""What else one could buy, beside the plan; and what each costs in demand unseen. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tenants.costs.procurement import Programme, Purchases, purchase_plan
from tenants.costs.procurement_case import Case, Floats, Offer
from tenants.kernel.errors import InvalidInput

Units = NDArray[np.int64]
Tell = Callable[[], None]
RULE_SHARE = 0.7  # of mean demand that the rule of thumb covers


@dataclass(frozen=True)
class Comparison:
    """Expected costs of one case. `clairvoyant` knew each scenario's demand before it bought."""

    plan: float
    nothing: float  # all on demand
    single_term: float  # the best number of one offer, bought anew whenever it ends
    rule_of_thumb: float  # the cheapest offer of each class for 70% of its mean demand
    clairvoyant: float


def compare(
    case: Case, plan: Purchases, *, seconds: float = 5.0, tell: Tell = lambda: None
) -> Comparison:
    """Set a plan beside its baselines, all on the case's own scenarios.

    `tell` is called after each offer and each scenario.
    """
    programme = Programme(case)
    return Comparison(
        plan=plan.cost,
        nothing=cost_of(programme, np.zeros_like(plan.buy)),
        single_term=single_term(programme, tell)[1],
        rule_of_thumb=cost_of(programme, rule_of_thumb(case)),
        clairvoyant=clairvoyant(case, seconds=seconds, tell=tell),
    )


def single_term(programme: Programme, tell: Tell = lambda: None) -> tuple[Units, float]:
    """The best constant number of one offer, bought anew at each end of its term.

    The cost is convex in the number, so the best whole one stands beside the best real one; an
    offer whose best real one is no better than what was found is passed over.
    """
    case = programme.case
    nothing = np.zeros((len(case.offers), case.months), dtype=np.int64)
    best, least = nothing, cost_of(programme, nothing)
    for r, offer in enumerate(case.offers):
        tell()
        found = programme.best_multiple(_renewed(case, r, offer, 1), offer.available)
        if found is None or found[1] >= least:
            continue
        for number in {math.floor(found[0]), math.ceil(found[0])}:
            bought = _renewed(case, r, offer, number)
            if (cost := cost_of(programme, bought)) < least:
                best, least = bought, cost
    return best, least


def rule_of_thumb(case: Case, share: float = RULE_SHARE) -> Units:
    """For each class its cheapest offer by unit of capacity, up to a share of mean demand."""
    buy = np.zeros((len(case.offers), case.months), dtype=np.int64)
    mean = np.tensordot(case.weights, case.demand, axes=1).mean(axis=1)
    for c, name in enumerate(case.classes):
        fitting = [(_unit_price(o), r) for r, o in enumerate(case.offers) if name in o.serves]
        if not fitting:
            continue
        _, r = min(fitting)
        wanted = int(share * mean[c] // case.offers[r].capacity)
        buy = np.maximum(buy, _renewed(case, r, case.offers[r], wanted))
    return buy


def clairvoyant(case: Case, *, seconds: float = 5.0, tell: Tell = lambda: None) -> float:
    """The expected cost of one who buys for each scenario apart: below what any plan can reach.

    By each scenario's bound, so that it stays a bound where time ran out.
    """
    total = 0.0
    for s, weight in enumerate(case.weights):
        alone = replace(case, demand=case.demand[s : s + 1], weights=np.ones(1))
        total += float(weight) * purchase_plan(alone, seconds=seconds).bound
        tell()
    return total


def cost_of(programme: Programme, buy: Units) -> float:
    """What purchases cost, expected; infinite where they break budget or service."""
    try:
        return programme.cost(buy)
    except InvalidInput:
        return float("inf")


def unseen_costs(case: Case, buy: Units, demand: Floats, tell: Tell = lambda: None) -> Floats:
    """What purchases cost in each scenario of `demand` [scenarios, classes, months], [scenarios].

    Service is not asked for: what falls short is paid as penalty.
    """
    alone = Programme(replace(case, demand=demand[:1], weights=np.ones(1), service=0.0))
    costs = []
    for s in range(len(demand)):
        costs.append(alone.cost(buy, demand[s : s + 1]))
        tell()
    return np.array(costs)


def plan_rows(case: Case, buy: Units) -> list[dict[str, str]]:
    """A plan as rows for CSV: what to buy when, how long it serves, and what it costs."""
    return [
        {
            "month": str(t),
            "offer": offer.name,
            "units": str(int(buy[r, t])),
            "until_month": str(t + offer.months),
            "cost": f"{offer.cost * int(buy[r, t]):.2f}",
        }
        for t in range(case.months)
        for r, offer in enumerate(case.offers)
        if buy[r, t]
    ]


def _renewed(case: Case, r: int, offer: Offer, number: int) -> Units:
    buy = np.zeros((len(case.offers), case.months), dtype=np.int64)
    buy[r, offer.from_month : offer.to_month : offer.months] = min(number, offer.available)
    return buy


def _unit_price(offer: Offer) -> float:
    return offer.cost / (offer.months * offer.capacity)
