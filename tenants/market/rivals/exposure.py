"""Who could have moved a price, and when: months at risk, by product. Pure.

The history tells of moves, not of months in which nothing moved. Those are rebuilt from when each
product was first seen, under rules that are stated because they are assumptions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tenants.market.moves import (
    BEGINS,
    OF_ANOTHER_PRODUCT,
    History,
    Kind,
    PriceMove,
    Product,
    month_number,
)


@dataclass(frozen=True)
class ExposureRules:
    """`unseen_launch_months`: how long a product was on sale before its first move, where its
    launch is not in the history. `superseded_months`: how long after a successor (the same
    provider's next product of the class) its price could still move.
    """

    unseen_launch_months: int = 6
    superseded_months: int = 12


@dataclass(frozen=True)
class Exposure:
    """A product's months at risk: [first, last], in month numbers."""

    product: Product
    model_class: str
    first: int
    last: int

    @property
    def months(self) -> int:
        return self.last - self.first + 1

    def covers(self, month: int) -> bool:
        return self.first <= month <= self.last


DEFAULT_RULES = ExposureRules()


def exposures(history: History, rules: ExposureRules = DEFAULT_RULES) -> tuple[Exposure, ...]:
    """Each product's months at risk up to the history's end, in order of product.

    Off-peak tiers are no products of their own. The month of a launch is at risk only where the
    price moved in it; months before a first move whose launch is unknown are.
    """
    end = month_number(history.end)
    groups = _newest_by_group(history)
    found = []
    for product, moves in sorted(history.by_product.items()):
        if _is_tier(moves):
            continue
        first = _first_month(moves, rules)
        last = _last_month(moves, groups, rules, end)
        if first <= last:
            found.append(Exposure(product, moves[-1].model_class, first, last))
    return tuple(found)


def _is_tier(moves: Sequence[PriceMove]) -> bool:
    return all(move.kind is Kind.OFF_PEAK for move in moves)


def _first_month(moves: Sequence[PriceMove], rules: ExposureRules) -> int:
    first = moves[0]
    begin = month_number(first.date)
    is_new = first.kind in BEGINS | OF_ANOTHER_PRODUCT or not first.before.is_known
    if not is_new:
        return begin - rules.unseen_launch_months
    moved = [month_number(move.date) for move in moves if move.log_change is not None]
    return min([begin + 1, *moved[1 if first.log_change is not None else 0 :]])


def _newest_by_group(history: History) -> Mapping[tuple[str, str], list[tuple[dt.date, Product]]]:
    """When each provider brought a product of a class, as far as the history tells."""
    groups: dict[tuple[str, str], list[tuple[dt.date, Product]]] = {}
    for product, moves in history.by_product.items():
        if not _is_tier(moves):
            key = (moves[0].provider, moves[-1].model_class)
            groups.setdefault(key, []).append((moves[0].date, product))
    return {key: sorted(rows) for key, rows in groups.items()}


def _last_month(
    moves: Sequence[PriceMove],
    groups: Mapping[tuple[str, str], list[tuple[dt.date, Product]]],
    rules: ExposureRules,
    end: int,
) -> int:
    """Until the end, or a while after a successor; its own later moves show it was still there."""
    group = groups[moves[0].provider, moves[-1].model_class]
    later = [day for day, product in group if day > moves[0].date and product != moves[0].product]
    if not later:
        return end
    superseded = month_number(min(later)) + rules.superseded_months
    return min(end, max(superseded, month_number(moves[-1].date)))
