"""What to decide upon when compute is bought: offers, markets, demand. Pure, checked when made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tenants.kernel.errors import InvalidInput

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Offer:
    """Capacity that is bought ahead: reserved or owned, of one supplier.

    `capacity` is what a unit serves in a month (slot-hours, say); `cost` is of a unit's whole term
    of `months`; `available` is how many can be bought in a month, from `from_month` up to, without,
    `to_month`.
    """

    name: str
    serves: frozenset[str]  # classes of work
    capacity: float
    cost: float
    months: int
    available: int
    from_month: int = 0
    to_month: int | None = None


@dataclass(frozen=True)
class Market:
    """Capacity that is bought as it is used, by class: its price and how much there is."""

    name: str
    prices: Mapping[str, float]
    limits: Mapping[str, float] = field(default_factory=dict)  # a month; without, no limit


@dataclass(frozen=True)
class Case:
    """What to decide upon. `demand` is [scenarios, classes, months]; `weights` sum to one.

    `held` is capacity that was bought before and is paid for, by the classes it serves.
    """

    classes: Sequence[str]
    offers: Sequence[Offer]
    markets: Sequence[Market]
    demand: Floats
    weights: Floats
    penalty: Mapping[str, float]  # of a unit of demand that is not met
    budget: float | None = None  # for purchases, a month
    service: float = 0.0  # the share of each class's demand that is met, over the horizon
    end_value: float = 1.0  # of the cost pro rata of what outlives the horizon
    held: Mapping[frozenset[str], Sequence[float]] = field(default_factory=dict)  # by month

    def __post_init__(self) -> None:
        _check(self)

    @property
    def months(self) -> int:
        return int(self.demand.shape[2])


def _check(case: Case) -> None:
    scenarios, classes, months = case.demand.shape
    if classes != len(case.classes) or scenarios != len(case.weights) or not months:
        raise InvalidInput("demand is [scenarios, classes, months]", param="demand")
    if not np.isfinite(case.demand).all() or (case.demand < 0).any():
        raise InvalidInput("demand is finite and at least 0", param="demand")
    if not (case.weights >= 0).all() or not abs(float(case.weights.sum()) - 1) <= 1e-9:
        raise InvalidInput("the scenarios' weights sum to one", param="weights")
    if missing := set(case.classes) - case.penalty.keys():
        raise InvalidInput(f"no penalty for {', '.join(sorted(missing))}", param="penalty")
    if not 0 <= case.service <= 1 or not 0 <= case.end_value <= 1:
        raise InvalidInput("service and end value are shares", param="service")
    for serves, capacity in case.held.items():
        if not serves <= set(case.classes) or len(capacity) != months or not _all(capacity):
            raise InvalidInput("what is held is at least 0, a figure a month", param="held")
    for offer in case.offers:
        _check_offer(offer, case.classes)
    _check_money(case)


def _check_money(case: Case) -> None:
    if case.budget is not None and not _counts(case.budget):
        raise InvalidInput("a budget is finite and at least 0", param="budget")
    if not all(_counts(penalty) for penalty in case.penalty.values()):
        raise InvalidInput("a penalty is finite and at least 0", param="penalty")
    for market in case.markets:
        if not _all([*market.prices.values(), *market.limits.values()]):
            raise InvalidInput(
                f"{market.name}: prices and limits are finite and at least 0", param="markets"
            )


def _check_offer(offer: Offer, classes: Sequence[str]) -> None:
    if not _counts(offer.cost) or not _counts(offer.capacity) or not offer.capacity:
        raise InvalidInput(
            f"{offer.name}: a finite cost of at least 0, a finite capacity above 0", param="offers"
        )
    if offer.months < 1 or offer.available < 0 or offer.from_month < 0:
        raise InvalidInput(
            f"{offer.name}: a term of months, units from 0, months from 0", param="offers"
        )
    if strange := offer.serves - set(classes):
        raise InvalidInput(f"{offer.name} serves {', '.join(sorted(strange))}?", param="offers")


def _counts(value: float) -> bool:
    """Whether a figure is one: finite, at least 0."""
    return math.isfinite(value) and value >= 0


def _all(values: Iterable[float]) -> bool:
    return all(_counts(value) for value in values)
