"""A plan told month by month: rows that sum to its cost, changes solved again, make or buy."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tenants.costs.forecasting import WEEKS_A_MONTH
from tenants.costs.plan_report import (
    by_month,
    costs_by_month,
    make_or_buy_of,
    plan_work_out,
    purchases_of,
    units_of,
)
from tenants.costs.procurement import Programme, purchase_plan
from tenants.costs.procurement_baselines import cost_of
from tenants.costs.procurement_case import Case, Market, Offer
from tenants.costs.sensitivity import changes, sensitivity

YEAR = Offer("year", frozenset({"gpu serve"}), 100.0, 1200.0, 12, available=5)


def one_class(demand: Any, **changes: Any) -> Case:
    """A slot-hour is 2 on demand; a year of 100 hours a month 1200, that is 1 an hour."""
    fields: dict[str, Any] = {
        "classes": ("gpu serve",),
        "offers": [YEAR],
        "markets": [Market("on demand", {"gpu serve": 2.0})],
        "demand": np.array(demand, dtype=float)[:, None, :],
        "weights": np.full(len(demand), 1 / len(demand)),
        "penalty": {"gpu serve": 20.0},
    }
    return Case(**fields | changes)


def drafted(**changes: Any) -> dict[str, Any]:
    """100 slot-hours a week for ten weeks; three months ahead."""
    return {
        "case": {
            "classes": ["gpu serve"],
            "offers": [
                {"name": "year", "serves": ["gpu serve"], "capacity": 100, "cost": 1200,
                 "months": 12, "available": 9}
            ],
            "markets": [{"name": "on demand", "prices": {"gpu serve": 2.0}}],
            "penalty": {"gpu serve": 20},
            "held": [],
        },
        "weeks": {"gpu serve": [100.0] * 10},
        "forecast": {"edges": [n * WEEKS_A_MONTH for n in range(4)], "scenarios": 2, "seed": 1,
                     "unseen": 5},
        "suppliers": [],
    } | changes  # fmt: skip


def months_of(case: Case, buy: Any) -> dict[str, list[float]]:
    return costs_by_month(case, buy, Programme(case).used(buy))


def test_months_sum_to_the_programmes_cost() -> None:
    """Two units at 100 a month; 250 hours, of which 50 are bought on demand at 2: 300 in all."""
    case = one_class([[250, 250, 150]])
    buy = np.array([[2, 0, 0]])
    rows = months_of(case, buy)
    assert rows["bought"] == pytest.approx([200, 200, 200])
    assert rows["on demand"] == pytest.approx([100, 100, 0])
    assert rows["total"] == pytest.approx([300, 300, 200])
    assert sum(rows["total"]) == pytest.approx(cost_of(Programme(case), buy))


def test_what_lacks_is_paid_as_penalty() -> None:
    limited = [Market("on demand", {"gpu serve": 2.0}, {"gpu serve": 30.0})]
    case = one_class([[150]], markets=limited)
    rows = months_of(case, np.array([[1]]))
    assert rows["on demand"] == pytest.approx([60])
    assert rows["short"] == pytest.approx([20 * 20])


def test_what_was_bought_before_serves_at_no_cost() -> None:
    """Of 250 hours 200 are held in the first month: 50 on demand; none afterwards."""
    case = one_class([[250, 250]], held={frozenset({"gpu serve"}): [200.0, 0.0]})
    rows = months_of(case, np.zeros((1, 2), dtype=np.int64))
    assert rows["total"] == pytest.approx([100, 500])
    assert by_month(case, np.zeros((1, 2), dtype=np.int64))["held"] == [200.0, 0.0]


def test_an_offer_that_ends_is_bought_in_time_or_not_at_all() -> None:
    case = one_class([[0, 0, 100, 100]], offers=[replace(YEAR, to_month=2)])
    plan = purchase_plan(case, gap=0.0)
    assert not plan.buy[0, 2:].any()
    assert cost_of(Programme(case), np.array([[0, 0, 1, 0]])) == float("inf")


def test_purchases_are_told_and_read_again() -> None:
    case = one_class([[250, 250, 250]])
    buy = np.array([[1, 0, 2]])
    told = purchases_of(case, buy)
    assert told[1] == {"month": 2, "offer": "year", "units": 2, "until": 14, "cost": 2400.0}
    np.testing.assert_array_equal(units_of(case, told), buy)
    shorter = replace(case, demand=case.demand[:, :, :2])
    np.testing.assert_array_equal(units_of(shorter, told), buy[:, :2])


def test_a_change_is_met_by_the_plan_kept_and_by_the_best_one_then() -> None:
    """For 200 hours two years are bought. A fifth less demand: one of them lies idle for two
    fifths of its month; a fifth more: 40 hours on demand, at 80, where a third unit costs 100.
    """
    case = one_class([[200]])
    buy = np.array([[2]])
    found = {(one.what, one.factor): one for one in sensitivity(case, buy)}
    assert found["demand", 1.2].kept == pytest.approx(200 + 80)
    assert found["demand", 1.2].regret == 0
    assert found["demand", 0.8].kept == pytest.approx(200)
    assert found["demand", 0.8].again == pytest.approx(200)
    assert found["on_demand", 1.2].kept == found["on_demand", 0.8].kept == pytest.approx(200)
    assert found["offers", 1.2].kept == pytest.approx(240)
    dear = sensitivity(one_class([[200]], offers=[replace(YEAR, cost=2300.0)]), buy)
    regret = next(one for one in dear if (one.what, one.factor) == ("offers", 1.2)).regret
    assert regret == pytest.approx(2 * 2300 * 1.2 / 12 - 200 * 2)


def test_without_spot_is_a_change_only_where_there_is_spot() -> None:
    assert {what for what, _, _ in changes(one_class([[1]]))} == {"demand", "on_demand", "offers"}
    spot = [*one_class([[1]]).markets, Market("spot", {"gpu serve": 0.5}, {"gpu serve": 50.0})]
    case = one_class([[100]], markets=spot, offers=[])
    gone = [one for one in sensitivity(case, np.zeros((0, 1), np.int64)) if one.what == "no_spot"]
    assert gone[0].kept == pytest.approx(200)


@pytest.mark.parametrize(("price", "cheaper"), [(0.9, "buy"), (1.1, "make")])
def test_a_supplier_is_set_against_what_the_tokens_add(price: float, cheaper: str) -> None:
    """Half of 200 hours is a base's: without them one unit is left out, that is 100 for 100
    millions at an hour each: 1 a million.
    """
    case = one_class([[200]])
    supplier = {
        "name": "Acme", "base": "mini", "class": "gpu serve", "share": 0.5,
        "hours_per_million": 1.0, "per_million": price,
    }  # fmt: skip
    found = make_or_buy_of(case, purchase_plan(case, gap=0.0), supplier)
    assert found["millions"] == pytest.approx(100)
    assert found["make"] == pytest.approx(1.0)
    assert found["cheaper"] == cheaper


def test_a_drafted_plan_is_worked_out_whole() -> None:
    """Steady work is foreseen exactly: 434.8 hours a month, so four units and 34.8 on demand."""
    steps: list[tuple[int, int]] = []
    found = plan_work_out(drafted(), lambda step, of: steps.append((step, of)))
    a_month = 100 * WEEKS_A_MONTH
    assert found["purchases"] == [
        {"month": 0, "offer": "year", "units": 4, "until": 12, "cost": 4800.0}
    ]
    assert found["costs"]["total"] == pytest.approx([400 + 2 * (a_month - 400)] * 3)
    assert found["cost"] == pytest.approx(sum(found["costs"]["total"]))
    assert found["baselines"]["nothing"] == pytest.approx(3 * 2 * a_month)
    assert found["baselines"]["clairvoyant"] == pytest.approx(found["cost"])
    assert found["unseen"]["mean"] == pytest.approx(found["cost"])
    assert found["committed"] == {"year": [400.0] * 3}
    assert found["demand_in_all"]["low"] == pytest.approx([a_month] * 3)
    assert [step for step, _ in steps] == list(range(1, steps[0][1] + 1))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
