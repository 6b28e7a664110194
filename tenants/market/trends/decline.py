"""How fast prices fall: yearly decline and halving time, with intervals. Pure.

The rate is the matched log change per product-month on sale; its interval comes from drawing whole
products again with replacement, since a product's months are not independent of one another.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tenants.market.moves import History
from tenants.market.rivals.exposure import DEFAULT_RULES, ExposureRules
from tenants.market.trends.index import ALL, Floats, panel_of

RESAMPLES = 4000
LEVEL = 0.8
FEWEST_PRODUCTS = 4  # to draw from again: with fewer, a resample says nothing
SEED = 20_240_501  # of the resampling: the same history gives the same interval


@dataclass(frozen=True)
class Interval:
    """A figure with the bounds between which it lies with probability `level`.

    Bounds are None where too few products were on sale to say; infinity stands for "never".
    """

    low: float | None
    value: float
    high: float | None
    level: float = LEVEL


@dataclass(frozen=True)
class Decline:
    """Of one class: `yearly` is the share by which prices fall in a year, negative where they rise.

    `halving_months` is the time in which they halve at that rate. `months` counts product-months,
    `moves` the months in which a price moved.
    """

    model_class: str
    yearly: Interval
    halving_months: Interval
    products: int
    months: int
    moves: int


def decline(
    history: History,
    model_class: str = ALL,
    *,
    rules: ExposureRules = DEFAULT_RULES,
    level: float = LEVEL,
) -> Decline | None:
    """The decline of a class (or of all); None where no product of it was on sale."""
    panel = panel_of(history, model_class, rules)
    change, months = panel.change.sum(axis=1), panel.at_risk.sum(axis=1)
    if not months.sum():
        return None
    rate = -float(change.sum() / months.sum())  # log units a month
    bounds = _bounds(change, months, level) if len(change) >= FEWEST_PRODUCTS else None
    return Decline(
        model_class=model_class,
        yearly=_interval(yearly_share, rate, bounds, level),
        halving_months=_interval(halving_months, rate, bounds and bounds[::-1], level),
        products=len(panel.products),
        months=int(months.sum()),
        moves=int(np.count_nonzero(panel.change)),
    )


def yearly_share(rate: float) -> float:
    """The share lost in a year at a continuous `rate` a month."""
    return -math.expm1(-12.0 * rate)


def halving_months(rate: float) -> float:
    """Months to half the price at a `rate` a month; infinite where prices do not fall."""
    return math.log(2.0) / rate if rate > 0 else math.inf


def _interval(
    figure: Callable[[float], float],
    rate: float,
    bounds: tuple[float, float] | None,
    level: float,
) -> Interval:
    if bounds is None:
        return Interval(None, figure(rate), None, level)
    return Interval(figure(bounds[0]), figure(rate), figure(bounds[1]), level)


def _bounds(change: Floats, months: Floats, level: float) -> tuple[float, float]:
    draws = np.random.default_rng(SEED).integers(len(change), size=(RESAMPLES, len(change)))
    rates = -change[draws].sum(axis=1) / months[draws].sum(axis=1)
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
