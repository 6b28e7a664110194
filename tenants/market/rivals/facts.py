"""What the history says about rivals, boiled down to counts, months and sizes. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from tenants.market.moves import BEGINS, History, Kind
from tenants.market.rivals.exposure import DEFAULT_RULES, ExposureRules, exposures
from tenants.market.trends.matching import list_price_moves

STARTS = BEGINS | {Kind.SUCCESSOR_CUT, Kind.SUCCESSOR_RISE}


@dataclass(frozen=True)
class ClassFacts:
    """Of one class: `months` at risk, and ln(s) of every cut, where a cut takes p to p·e^{-s}."""

    model_class: str
    months: float
    cut_log_sizes: tuple[float, ...]

    @property
    def cuts(self) -> int:
        return len(self.cut_log_sizes)


@dataclass(frozen=True)
class RivalFacts:
    """All that the rivals' model is fitted to.

    `rise_log_sizes` are rises of list prices; ends of promotions are known beforehand and are not
    among them. Launches are counted by themselves, over `provider_months`.
    """

    classes: tuple[ClassFacts, ...]
    rise_log_sizes: tuple[float, ...]
    launches: int
    provider_months: float

    @property
    def months(self) -> float:
        return sum(one.months for one in self.classes)


def facts_of(history: History, rules: ExposureRules = DEFAULT_RULES) -> RivalFacts:
    """Count what a history holds."""
    at_risk = exposures(history, rules)
    moves = list_price_moves(history)
    names = sorted({e.model_class for e in at_risk})
    classes = tuple(
        ClassFacts(
            model_class=name,
            months=float(sum(e.months for e in at_risk if e.model_class == name)),
            cut_log_sizes=_log_sizes(-m.log_change for m in moves if m.move.model_class == name),
        )
        for name in names
    )
    spans: dict[tuple[str, str], tuple[int, int]] = {}
    for e in at_risk:
        key = (e.product[0], e.model_class)
        first, last = spans.get(key, (e.first, e.last))
        spans[key] = min(first, e.first), max(last, e.last)
    return RivalFacts(
        classes=classes,
        rise_log_sizes=_log_sizes(m.log_change for m in moves),
        launches=sum(move.kind in STARTS for move in history.moves),
        provider_months=float(sum(last - first + 1 for first, last in spans.values())),
    )


def _log_sizes(sizes: Iterable[float]) -> tuple[float, ...]:
    return tuple(math.log(size) for size in sizes if size > 0)
