"""The like-for-like price index: a chained matched-model (Jevons) index. Pure.

Each month's step is the mean logarithm of the price ratios of the products on sale in it, unmoved
ones included; new products enter without a step, so a launch is never a cut.
https://www.imf.org/en/Data/Statistics/cpi-manual (chapter 8: elementary price indices)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tenants.market.moves import History, month_number
from tenants.market.rivals.exposure import DEFAULT_RULES, Exposure, ExposureRules, exposures
from tenants.market.trends.matching import match

Floats = NDArray[np.float64]
ALL = ""  # of classes


@dataclass(frozen=True)
class Panel:
    """Products by months: `change` is a month's sum of log price ratios, `at_risk` 0 or 1."""

    products: tuple[Exposure, ...]
    months: tuple[int, ...]
    change: Floats  # (products, months)
    at_risk: Floats  # (products, months)


@dataclass(frozen=True)
class PriceIndex:
    """`level` starts at 100 in the month before the first; `products` were on sale in each."""

    model_class: str
    months: tuple[int, ...]
    level: tuple[float, ...]
    products: tuple[int, ...]


def panel_of(
    history: History, model_class: str = ALL, rules: ExposureRules = DEFAULT_RULES
) -> Panel:
    """Lay the matched moves of a class (or of all) on its products' months on sale."""
    products = tuple(e for e in exposures(history, rules) if model_class in {ALL, e.model_class})
    if not products:
        return Panel((), (), np.zeros((0, 0)), np.zeros((0, 0)))
    first, last = min(e.first for e in products), max(e.last for e in products)
    months = tuple(range(first, last + 1))
    change, at_risk = np.zeros((len(products), len(months))), np.zeros((len(products), len(months)))
    rows = {e.product: number for number, e in enumerate(products)}
    for number, e in enumerate(products):
        at_risk[number, e.first - first : e.last - first + 1] = 1.0
    for found in match(history.moves).matched:
        row = rows.get(found.move.product)
        if row is not None:
            change[row, month_number(found.move.date) - first] += found.log_change
    return Panel(products, months, change, at_risk)


def price_index(
    history: History, model_class: str = ALL, rules: ExposureRules = DEFAULT_RULES
) -> PriceIndex:
    """The index of a class month by month. Months in which nothing was on sale keep their level."""
    panel = panel_of(history, model_class, rules)
    on_sale = panel.at_risk.sum(axis=0)
    step = panel.change.sum(axis=0) / np.maximum(on_sale, 1.0)
    return PriceIndex(
        model_class=model_class,
        months=panel.months,
        level=tuple((100.0 * np.exp(np.cumsum(step))).tolist()),
        products=tuple(int(n) for n in on_sale),
    )


def classes_of(history: History) -> Sequence[str]:
    return sorted({move.model_class for move in history.moves})
