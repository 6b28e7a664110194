"""How rivals set their prices in a simulated month. Pure.

A behaviour sees what there is to see and returns the rivals' next prices. `FittedRivals` moves as
the history says rivals do, and answers us as the priors say; `BestRespondingRivals` is the textbook's
rival, for closed forms and for a worst case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tenants.market.campaigns.choice import best_price
from tenants.market.campaigns.worlds import Floats, Luck, World


@dataclass(frozen=True)
class Seen:
    """What a rival sees as a month begins."""

    month: int
    prices: Floats  # (rivals, paths): its own and the others', last month
    worth: Floats  # (rivals, paths): what their launches so far are worth, in money
    own_price: Floats  # (paths,): ours, averaged over segments by tokens


class Behaviour(Protocol):
    """Rivals' next prices, and the worth of what they launch: two arrays (rivals, paths)."""

    def move(self, seen: Seen) -> tuple[Floats, Floats]: ...


class FittedRivals:
    """Cuts, rises and launches at the fitted hazards; answers to us; promotions end as announced.

    In a month at most one of these happens to a rival. No cut goes below its floor, which falls
    with costs; a price that is there already stays.
    """

    def __init__(self, world: World, luck: Luck) -> None:
        spec, rivals = world.spec, world.spec.rivals
        self._luck, self._spec = luck, spec
        draws = [world.rivals.of_class(rival.model_class) for rival in rivals]
        self._cut = world.spread(np.stack([hazard for hazard, _ in draws]))
        self._size = world.spread(np.stack([size for _, size in draws]))
        self._size_all = world.spread(world.rivals.size_all)
        self._sd = world.spread(world.rivals.size_sd)
        self._rise = world.spread(world.rivals.rise_hazard)
        self._launch = world.spread(world.rivals.launch_hazard)
        value = world.priors.value
        self._reaction, self._steepness = world.spread(value("reaction")), world.spread(
            value("steepness")
        )
        self._matching = world.spread(value("matching"))
        self._launch_worth = world.spread(value("launch_worth"))
        self._decline = world.spread(value("cost_decline"))
        price = np.array([[rival.regular_price or rival.price] for rival in rivals])
        floors = np.stack([value(f"{rival.name}: floor") for rival in rivals])
        self._floor = world.spread(floors) * price

    def move(self, seen: Seen) -> tuple[Floats, Floats]:
        before = self._after_promotions(seen)
        gap = np.log(before / seen.own_price)
        answer = np.where(gap > 0, self._reaction * np.exp(self._steepness * np.maximum(gap, 0)), 0)
        launch, cut, rise = self._which(seen.month, answer)
        size = self._luck.size[seen.month]
        cuts = np.exp(self._size + self._sd * size)
        rises = np.exp(self._size_all + self._sd * size)
        change = np.where(cut, -cuts, np.where(rise, rises, 0.0))
        answered = self._event > self._bound_rise
        change = np.where(answered, -self._matching * np.maximum(gap, 0), change)
        floor = np.minimum(self._floor * (1.0 - self._decline) ** seen.month, before)
        prices = np.maximum(before * np.exp(change), np.where(change < 0, floor, 0.0))
        worth = seen.worth + np.where(launch, self._launch_worth * before, 0.0)
        return prices, worth

    def _which(self, month: int, answer: Floats) -> tuple[Floats, Floats, Floats]:
        raise NotImplementedError
