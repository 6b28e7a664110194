"""The simulation against textbook results, to 1e-9. Lambert's W here, Wright's omega there.

Without switching cost, stickiness and luck, best responses played month by month end in the static
equilibrium.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import lambertw

from tenants.market.campaigns.choice import best_price
from tenants.market.campaigns.competitors import BestRespondingRivals
from tenants.market.campaigns.policies.policy import Offer, View
from tenants.market.campaigns.simulate import Outcome, Simulation
from tenants.market.campaigns.worlds import World, world_of
from tests.tenants.market.factories import one_segment, relative_error, still

COST = 0.8
MONTHS = 80  # each month brings the best responses closer by a constant factor


class BestResponse:
    """Our best price against what rivals ask now."""

    name: ClassVar[str] = "best response"
    grid: ClassVar[dict[str, tuple[float, ...]]] = {}

    def __init__(self, world: World) -> None:
        self.alpha = world.alpha[0]
        levels = world.log_appeal[:, 0]
        starts = np.array([world.spec.own.price, *(r.price for r in world.spec.rivals)])
        self.values = levels[1:] + self.alpha * starts[:, None]
        self.outside = np.exp(levels[0])

    def offer(self, view: View) -> Offer:
        rivals = np.exp(self.values[1:] - self.alpha * view.rival_prices).sum(axis=0)
        cost = np.full_like(self.alpha, COST)
        return Offer(price=best_price(self.values[0], self.alpha, cost, rivals + self.outside))


def played(rivals: int, *, outside: float, elasticity: float = 3.0) -> tuple[World, Outcome]:
    """All start alike, at a price of 2 and with equal shares of what the outside option leaves."""
    share = (1.0 - outside) / (1 + rivals)
    names = [f"rival {n}" for n in range(rivals)]
    spec = still(
        months=MONTHS,
        own={"price": 2.0, "unit_cost": COST, "long_run_cost": COST, "fixed_cost": 0, "cash": 1},
        rivals=[{"name": name, "model_class": "small", "price": 2.0} for name in names],
        segments=[one_segment(share, dict.fromkeys(names, share), elasticity)],
    )
    world = world_of(spec)
    behaviour = BestRespondingRivals(world, COST, np.full(1 + rivals, 2.0))
    return world, Simulation(world, rivals=behaviour).run(BestResponse(world))


def value(world: World) -> Any:
    """v of our product where the outside option's is 0."""
    levels = world.log_appeal[:, 0]
    return levels[1] - levels[0] + world.alpha[0] * world.spec.own.price


@pytest.mark.parametrize("elasticity", [0.5, 3.0, 12.0])
def test_a_monopoly_asks_lamberts_price_and_earns_his_profit(elasticity: float) -> None:
    world, outcome = played(0, outside=0.6, elasticity=elasticity)
    alpha = world.alpha[0]
    w = lambertw(np.exp(value(world) - alpha * COST - 1.0)).real
    assert relative_error(outcome.price[-1], COST + (1.0 + w) / alpha) < 1e-9
    assert relative_error(outcome.share[-1], w / (1.0 + w)) < 1e-9
    assert relative_error(outcome.margin[-1] / 1000, w / alpha) < 1e-9  # of 1,000 customers


def test_no_other_price_earns_a_monopoly_more() -> None:
    world, _ = played(0, outside=0.6)
    alpha, v = float(world.alpha[0, 0]), float(value(world)[0])
    found = minimize_scalar(
        lambda p: -(p - COST) / (1.0 + np.exp(alpha * p - v)), bounds=(COST, 20), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    best = best_price(np.array(v), np.array(alpha), np.array(COST), np.array(1.0))
    assert float(best) == pytest.approx(found.x, rel=1e-6)


@pytest.mark.parametrize("rivals", [1, 2, 5])
def test_equals_end_in_the_symmetric_bertrand_equilibrium(rivals: int) -> None:
    world, outcome = played(rivals, outside=0.4)
    alpha, price, number = world.alpha[0], outcome.price[-1], rivals + 1
    appeal = np.exp(value(world) - alpha * price)
    share = appeal / (1.0 + number * appeal)
    assert relative_error(price - COST, 1.0 / (alpha * (1.0 - share))) < 1e-9
    assert relative_error(outcome.share[-1], share) < 1e-9
    assert relative_error(outcome.rival_price[-1], price) < 1e-9


@pytest.mark.parametrize("rivals", [1, 2, 5])
def test_without_an_outside_good_the_markup_needs_no_value(rivals: int) -> None:
    world, outcome = played(rivals, outside=0.0)
    number = rivals + 1
    markup = number / (world.alpha[0] * (number - 1))
    assert relative_error(outcome.price[-1] - COST, markup) < 1e-9
    assert relative_error(outcome.share[-1], 1.0 / number) < 1e-9
