"""Purchases: as good as trying them all, within the bound at size, and sound on what is unseen."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tenants.costs.procurement import Programme, purchase_plan
from tenants.costs.procurement_baselines import (
    compare,
    cost_of,
    plan_rows,
    single_term,
    unseen_costs,
)
from tenants.costs.procurement_case import Case, Market, Offer
from tenants.kernel.errors import InvalidInput
from tests.tenants.costs.procurement_cases import SHAPES, demand_make, large_case

NAN, INFINITE = float("nan"), float("inf")


def small_case(seed: int, **changes: Any) -> Case:
    """One class, three months, two scenarios, two offers of at most two units."""
    generator = np.random.default_rng(seed)
    offers = [
        Offer("month", frozenset("a"), 10.0, float(generator.uniform(8, 18)), 1, available=2),
        Offer("two", frozenset("a"), 10.0, float(generator.uniform(15, 30)), 2, available=2),
    ]
    fields: dict[str, Any] = {
        "classes": ("a",),
        "offers": offers,
        "markets": [Market("spot", {"a": 1.0}, {"a": 4.0}), Market("on demand", {"a": 2.0})],
        "demand": generator.uniform(0, 50, (2, 1, 3)),
        "weights": np.array([0.3, 0.7]),
        "penalty": {"a": 9.0},
    }
    return Case(**fields | changes)


def cost_by_hand(case: Case, buy: np.ndarray[Any, Any]) -> float:
    """One class: what is bought first, then markets from the cheapest, then the penalty."""
    total = 0.0
    for r, offer in enumerate(case.offers):
        for t in range(case.months):
            kept = min(offer.months, case.months - t) / offer.months
            total += buy[r, t] * offer.cost * (kept if case.end_value else 1)
    for s, weight in enumerate(case.weights):
        for t in range(case.months):
            left = float(case.demand[s, 0, t])
            for r, offer in enumerate(case.offers):
                left -= offer.capacity * sum(buy[r, max(0, t - offer.months + 1) : t + 1])
            for market in sorted(case.markets, key=lambda m: m.prices["a"]):
                used = min(max(left, 0), market.limits.get("a", np.inf))
                total += weight * market.prices["a"] * used
                left -= used
            total += weight * case.penalty["a"] * max(left, 0)
    return total


def every_plan(case: Case) -> Any:
    cells = len(case.offers) * case.months
    for units in itertools.product(range(3), repeat=cells):
        yield np.array(units).reshape(len(case.offers), case.months)


@pytest.mark.parametrize("seed", range(6))
def test_the_plan_is_the_best_of_all(seed: int) -> None:
    case = small_case(seed, end_value=float(seed % 2))
    best = min(cost_by_hand(case, buy) for buy in every_plan(case))
    plan = purchase_plan(case, gap=0.0)
    assert plan.cost == pytest.approx(best)
    assert plan.cost == pytest.approx(cost_by_hand(case, plan.buy))
    assert plan.bound == pytest.approx(best)


def test_the_best_of_all_within_a_budget() -> None:
    case = small_case(1, budget=20.0)
    spent = [np.array([o.cost for o in case.offers]) @ buy for buy in every_plan(case)]
    allowed = [
        cost_by_hand(case, buy)
        for buy, cost in zip(every_plan(case), spent, strict=True)
        if cost.max() <= 20
    ]
    assert purchase_plan(case, gap=0.0).cost == pytest.approx(min(allowed))


def test_service_that_nothing_can_keep_is_refused() -> None:
    case = small_case(2, markets=[], service=1.0, demand=np.full((2, 1, 3), 500.0))
    with pytest.raises(InvalidInput, match="service"):
        purchase_plan(case)


def test_the_dual_is_what_one_more_unit_of_demand_costs() -> None:
    case = small_case(3)
    buy = purchase_plan(case, gap=0.0).buy
    used = Programme(case).used(buy)
    more = case.demand.copy()
    more[:, 0, 1] += 1e-3
    assert (Programme(replace(case, demand=more)).cost(buy) - used.cost) / 1e-3 == pytest.approx(
        used.dual[0, 1]
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_a_plan_beats_its_baselines_and_no_plan_beats_the_clairvoyant(shape: str) -> None:
    case = large_case(offers=12, months=12, scenarios=4, shape=shape)
    plan = purchase_plan(case)
    found = compare(case, plan)
    assert plan.gap <= 0.011
    assert found.clairvoyant <= found.plan
    assert np.isfinite([found.nothing, found.single_term, found.rule_of_thumb]).all()
    assert found.plan <= min(found.nothing, found.single_term, found.rule_of_thumb)


def test_a_plan_holds_in_demand_it_has_not_seen() -> None:
    case = large_case(offers=12, months=12, scenarios=10)
    plan = purchase_plan(case)
    unseen = demand_make(scenarios=100, months=12, seed=77)
    costs = unseen_costs(case, plan.buy, unseen)
    assert costs[0] == pytest.approx(
        Programme(replace(case, demand=unseen[:1], weights=np.ones(1))).cost(plan.buy)
    )
    nothing = unseen_costs(case, np.zeros_like(plan.buy), unseen)
    assert costs.mean() == pytest.approx(plan.cost, rel=0.05)
    assert costs.mean() < nothing.mean()


def test_a_plan_is_told_in_rows() -> None:
    case = small_case(4)
    rows = plan_rows(case, np.array([[0, 2, 0], [1, 0, 0]]))
    assert [(r["month"], r["offer"], r["units"], r["until_month"]) for r in rows] == [
        ("0", "two", "1", "2"),
        ("1", "month", "2", "2"),
    ]
    assert rows[1]["cost"] == f"{2 * case.offers[0].cost:.2f}"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"demand": np.full((2, 1, 3), -1.0)}, "demand"),
        ({"demand": np.full((1, 1, 3), 1.0)}, "demand"),
        ({"weights": np.array([0.5, 0.6])}, "weights"),
        ({"penalty": {}}, "penalty"),
        ({"service": 1.5}, "service"),
        ({"offers": [Offer("x", frozenset("a"), 10, -1, 1, 1)]}, "offers"),
        ({"offers": [Offer("x", frozenset("z"), 10, 1, 1, 1)]}, "offers"),
        ({"offers": [Offer("x", frozenset("a"), 10, NAN, 1, 1)]}, "offers"),
        ({"offers": [Offer("x", frozenset("a"), INFINITE, 1, 1, 1)]}, "offers"),
        ({"offers": [Offer("x", frozenset("a"), 10, 1, 1, 1, from_month=-1)]}, "offers"),
        ({"markets": [Market("spot", {"a": NAN})]}, "markets"),
        ({"markets": [Market("spot", {"a": -1.0})]}, "markets"),
        ({"markets": [Market("spot", {"a": 1.0}, {"a": -1.0})]}, "markets"),
        ({"penalty": {"a": NAN}}, "penalty"),
        ({"penalty": {"a": -1.0}}, "penalty"),
        ({"weights": np.array([NAN, 1.0])}, "weights"),
        ({"budget": NAN}, "budget"),
        ({"budget": -1.0}, "budget"),
        ({"held": {frozenset("a"): [1.0, NAN, 1.0]}}, "held"),
    ],
)
def test_a_case_that_makes_no_sense_is_refused_by_name(changes: Any, param: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        small_case(0, **changes)
    assert caught.value.param == param


@pytest.mark.parametrize("seed", range(8))
def test_the_best_single_term_is_the_best_of_all_numbers(seed: int) -> None:
    case = small_case(seed, budget=25.0 if seed % 2 else None)
    programme = Programme(case)
    tried = []
    for r, offer in enumerate(case.offers):
        for number in range(offer.available + 1):
            buy = np.zeros((2, 3), dtype=np.int64)
            buy[r, :: offer.months] = number
            tried.append(cost_of(programme, buy))
    assert single_term(programme)[1] == pytest.approx(min(tried), rel=1e-9)


def test_without_time_it_is_time_that_is_said_to_lack() -> None:
    with pytest.raises(InvalidInput, match="no plan was found in 0 s") as caught:
        purchase_plan(large_case(offers=20, months=12, scenarios=3), seconds=0.0)
    assert caught.value.code == "out_of_time"


def test_more_units_than_there_are_do_not_do() -> None:
    case = small_case(0)
    assert cost_of(Programme(case), np.full((2, 3), 3, dtype=np.int64)) == float("inf")
