"""The simulation as a whole: its recursion, its books, its luck, its chunks."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from tenants.market.campaigns.policies import POLICIES, policy_of
from tenants.market.campaigns.policies.policy import Offer, PolicyFailed, View
from tenants.market.campaigns.simulate import Simulation
from tenants.market.campaigns.worlds import luck_of, world_of
from tests.tenants.market.campaigns.test_choice import pairs
from tests.tenants.market.factories import one_segment, spec, still


class Falling:
    """A price that falls by a tenth a month."""

    name: ClassVar[str] = "falling"
    grid: ClassVar[dict[str, tuple[float, ...]]] = {}

    def offer(self, view: View) -> Offer:
        return Offer(price=view.start_price * 0.9 ** (view.month + 1))


class Odd:
    """Answers with whatever it was given, or raises it."""

    name: ClassVar[str] = "odd"
    grid: ClassVar[dict[str, tuple[float, ...]]] = {}

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def offer(self, view: View) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Frozen:
    """Rivals that never move."""

    def move(self, seen: Any) -> Any:
        return seen.prices, seen.worth


def test_without_noise_it_is_the_deterministic_recursion() -> None:
    """Shares, tokens, revenue, cost and cash, by hand."""
    rho, months, growth = 0.6, 10, 0.02
    segment = one_segment(0.25, {"north": 0.35}, 3.0) | {"growth": growth, "usage_elasticity": 0.5}
    asked = still(
        months=months,
        segments=[segment],
        rivals=[{"name": "north", "model_class": "small", "price": 2.0}],
        own={"price": 2.0, "unit_cost": 0.5, "long_run_cost": 0.5, "fixed_cost": 10, "cash": 1e4},
        assumptions=still().assumptions.model_dump()
        | {"switching": 0.4, "stickiness": rho, "cost_decline": 0.01},
    )
    world = world_of(asked)
    found = Simulation(world, rivals=Frozen()).run(Falling())
    alpha, keep = world.alpha[0, 0], np.full(3, world.keep[0, 0])
    start = np.exp(world.log_appeal[:, 0, 0])
    customers, cash = 1000 * np.array([0.40, 0.25, 0.35]), 1e4
    for month in range(months):
        price = 2.0 * 0.9 ** (month + 1)
        appeal = start * np.array([1.0, np.exp(alpha * (2.0 - price)), 1.0])
        customers = pairs(customers, appeal, keep, rho, growth * customers.sum())
        tokens = customers[1] * (price / 2.0) ** -0.5
        cash += tokens * (price - 0.5 * 0.99**month) - 10
        assert found.cash[month, 0] == pytest.approx(cash, rel=1e-11)
        assert found.share[month, 0] == pytest.approx(customers[1] / customers.sum(), rel=1e-11)
    assert found.customers[-1, 0] == pytest.approx(1000 * (1 + growth) ** months, rel=1e-12)


@pytest.mark.parametrize("chunk", [1, 7, 64, 200, 1000])
def test_chunks_change_nothing(chunk: int) -> None:
    world, luck = world_of(spec()), luck_of(spec())
    whole = Simulation(world, luck, threads=1).run(policy_of("undercut", {}))
    parts = Simulation(world, luck, chunk=chunk).run(policy_of("undercut", {}))
    for name in ("share", "price", "rival_price", "margin", "cash", "ruined_in"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name


def test_more_paths_leave_the_first_ones_their_luck() -> None:
    few, many = luck_of(spec(paths=100)), luck_of(spec(paths=400))
    assert np.array_equal(few.event, many.event[:, :, :100])
    assert np.array_equal(few.size, many.size[:, :, :100])


def test_the_same_seed_is_the_same_war_and_another_is_another() -> None:
    runs = [Simulation(world_of(spec(seed=seed))).run(policy_of("match", {})) for seed in (7, 7, 8)]
    assert np.array_equal(runs[0].cash, runs[1].cash)
    assert not np.array_equal(runs[0].cash, runs[2].cash)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_customers_are_conserved_and_prices_keep_to_the_floor(name: str) -> None:
    asked = spec()
    outcome = Simulation(world_of(asked)).run(policy_of(name, {}))
    everybody = sum(segment.customers for segment in asked.segments)
    np.testing.assert_allclose(outcome.customers, everybody, rtol=1e-12)
    decline = asked.assumptions.cost_decline.high
    assert outcome.price.min() >= asked.own.long_run_cost * (1 - decline) ** asked.months
    np.testing.assert_allclose(
        outcome.cash[-1], asked.own.cash + outcome.margin.sum(axis=0), rtol=1e-9
    )


def test_ruin_ends_a_path_for_good() -> None:
    poor = spec(own={**spec().own.model_dump(), "cash": 5000, "fixed_cost": 40_000})
    outcome = Simulation(world_of(poor)).run(policy_of("hold", {}))
    assert outcome.ruined.mean() > 0.5
    for path in np.flatnonzero(outcome.ruined):
        month = int(outcome.ruined_in[path])
        assert outcome.cash[month, path] < poor.own.cash_limit
        assert (outcome.cash[:month, path] >= poor.own.cash_limit).all()
        assert not outcome.margin[month + 1 :, path].any()


def test_undercutting_provokes_rivals_more_than_holding() -> None:
    asked = spec(assumptions={"reaction": 0.3, "steepness": 2.0})
    simulation = Simulation(world_of(asked))
    held = simulation.run(policy_of("hold", {})).rival_price[-1].mean()
    cut = simulation.run(policy_of("undercut", {"by": 0.3})).rival_price[-1].mean()
    assert cut < held


def test_a_promotion_ends_in_its_month() -> None:
    rival = {"name": "north", "model_class": "small", "price": 1.0, "floor": 1.0,
             "regular_price": 1.5, "promotion_ends": 4}  # fmt: skip
    asked = still(
        rivals=[rival],
        market={"classes": [{"model_class": "small", "months": 1e12, "cut_log_sizes": []}],
                "provider_months": 1e12},
        segments=[one_segment(0.3, {"north": 0.3}, 2.0)],
    )  # fmt: skip
    outcome = Simulation(world_of(asked)).run(policy_of("hold", {}))
    assert np.array_equal(outcome.rival_price[:4], np.ones((4, 10)))
    np.testing.assert_allclose(outcome.rival_price[4:], 1.5)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ValueError("no idea"), "raised ValueError: no idea"),
        (3.0, "not an Offer"),
        (Offer(price=float("nan")), "price is nan in segment 0, path 0"),
        (Offer(price=-1.0), "price is -1.0"),
        (Offer(price=np.ones((5, 5))), "does not fit"),
        (Offer(price=1.0, worth=float("inf")), "worth is inf"),
    ],
)
def test_a_policy_that_fails_is_named_with_the_month(answer: Any, told: str) -> None:
    with pytest.raises(PolicyFailed, match=told) as caught:
        Simulation(world_of(spec())).run(Odd(answer))
    assert "policy 'odd', month 0" in caught.value.message
