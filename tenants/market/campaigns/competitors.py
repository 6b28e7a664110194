"""How rivals set their prices in a simulated month. Pure.

A behaviour sees what there is to see and returns the rivals' next prices. `FittedRivals` moves as
the history says rivals do, and answers us as the priors say; `BestRespondingRivals` is the
textbook's rival, for closed forms and for a worst case.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Protocol

import numpy as np

from tenants.market.campaigns.choice import best_price
from tenants.market.campaigns.worlds import Floats, Luck, World

LOG_LARGEST_RISE = np.log(np.log(4.0))  # of a size: no rise in the history is above fourfold
LOG_LARGEST_CUT = np.log(50.0)  # keeps e^{-s} in range; the floor binds long before


@dataclass(frozen=True)
class Seen:
    """What a rival sees as a month begins."""

    month: int
    prices: Floats  # (rivals, paths): last month's
    worth: Floats  # (rivals, paths): what their launches so far are worth to customers, in money
    own_price: Floats  # (paths,): ours of last month, averaged over segments by tokens


class Behaviour(Protocol):
    """Rivals' next prices, and the worth of what they have launched: two arrays (rivals, paths)."""

    def move(self, seen: Seen) -> tuple[Floats, Floats]: ...


class FittedRivals:
    """Cuts, rises and launches at the fitted hazards; answers to us; promotions end as announced.

    In a month at most one of these happens to a rival. No cut goes below its floor, which falls
    with costs; a price that is below it already stays.
    """

    def __init__(self, world: World, luck: Luck) -> None:
        rivals = world.spec.rivals
        draws = [world.rivals.of_class(rival.model_class) for rival in rivals]
        value, spread = world.priors.value, world.spread
        self._luck, self._rivals = luck, rivals
        self._cut = spread(np.stack([hazard for hazard, _ in draws]))
        self._size = spread(np.stack([size for _, size in draws]))
        self._size_all, self._sd = spread(world.rivals.size_all), spread(world.rivals.size_sd)
        self._rise, self._launch = (
            spread(world.rivals.rise_hazard), spread(world.rivals.launch_hazard),
        )  # fmt: skip
        self._reaction, self._steepness = spread(value("reaction")), spread(value("steepness"))
        self._matching, self._worth = spread(value("matching")), spread(value("launch_worth"))
        self._decline = spread(value("cost_decline"))
        price = np.array([[rival.regular_price or rival.price] for rival in rivals])
        self._floor = price * spread(np.stack([value(f"{r.name}: floor") for r in rivals]))

    def move(self, seen: Seen) -> tuple[Floats, Floats]:
        before = self._after_promotions(seen)
        gap = np.maximum(np.log(before / seen.own_price), 0.0)
        answer = self._reaction * np.exp(self._steepness * gap) * (gap > 0)
        hazards = (self._launch, self._cut, self._rise, answer)
        launch, cut, rise, answered = self._which(seen.month, hazards)
        size = self._sd * self._luck.size[seen.month]
        higher = np.exp(np.minimum(self._size_all + size, LOG_LARGEST_RISE))
        change = rise * higher - cut * np.exp(np.minimum(self._size + size, LOG_LARGEST_CUT))
        change -= answered * self._matching * gap
        floor = np.minimum(self._floor * (1.0 - self._decline) ** seen.month, before)
        prices = np.maximum(before * np.exp(change), floor)
        return prices, seen.worth + launch * self._worth * before

    def _which(self, month: int, hazards: tuple[Floats, ...]) -> list[Floats]:
        """0 or 1 for each: at most one event a month, by one draw that all policies share.

        An event of some kind has probability 1 - e^{-Σh}, and is of a kind in proportion to h.
        """
        bounds = list(accumulate(hazards, np.add))
        total = np.maximum(bounds[-1], 1e-300)
        reached = self._luck.event[month] * total / -np.expm1(-total)
        below = [np.asarray(reached < bound, dtype=np.float64) for bound in bounds]
        return [below[0], *(later - earlier for earlier, later in pairwise(below))]

    def _after_promotions(self, seen: Seen) -> Floats:
        prices = seen.prices.copy()
        for row, rival in enumerate(self._rivals):
            if rival.regular_price is not None and rival.promotion_ends == seen.month:
                prices[row] *= rival.regular_price / rival.price
        return prices


class BestRespondingRivals:
    """Each answers all others' last prices with its own best price, by the closed form.

    For markets of one segment without switching cost and stickiness. `unit_cost` is everybody's.
    """

    def __init__(self, world: World, unit_cost: float, start: Floats) -> None:
        """`start` holds the starting prices of all options but the outside one: (1 + rivals,)."""
        self._alpha = world.spread(world.alpha)[0]
        levels = world.spread(world.log_appeal)[:, 0]
        self._value = levels[1:] + self._alpha * start[:, None]
        self._outside = np.exp(levels[0])
        self._cost = unit_cost

    def move(self, seen: Seen) -> tuple[Floats, Floats]:
        appeal = np.exp(self._value - self._alpha * np.vstack([seen.own_price[None], seen.prices]))
        total = appeal.sum(axis=0) + self._outside
        cost = np.broadcast_to(np.asarray(self._cost), self._alpha.shape)
        answers = [
            best_price(self._value[row], self._alpha, cost, total - appeal[row])
            for row in range(1, len(appeal))
        ]
        return np.stack(answers) if answers else seen.prices, seen.worth
