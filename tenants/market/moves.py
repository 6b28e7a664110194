"""Price moves: what is known of a rival's offer on a day. Pure.

A product is one provider's model in one tier; prices are per million tokens, in the currency it is
sold in. Logarithms of price ratios carry no currency, so moves in two currencies can be compared.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Kind(StrEnum):
    """What a row says happened. Only CUT and RISE change the list price of one product."""

    CUT = "cut"
    RISE = "rise"
    LAUNCH = "launch"
    FREE = "free"
    PROMOTION = "promotion"
    PROMOTION_END = "promotion_end"
    OFF_PEAK = "off_peak"
    SUCCESSOR_CUT = "successor_cut"
    SUCCESSOR_RISE = "successor_rise"


BEGINS = frozenset({Kind.LAUNCH, Kind.FREE})
OF_ANOTHER_PRODUCT = frozenset({Kind.SUCCESSOR_CUT, Kind.SUCCESSOR_RISE, Kind.OFF_PEAK})
INPUT_SHARE = 0.75  # of the tokens of a typical call; what a blended price assumes

Product = tuple[str, str]  # provider, model


@dataclass(frozen=True)
class Price:
    """Of a million input and output tokens; None where it is not known."""

    input: float | None = None
    output: float | None = None

    @property
    def is_known(self) -> bool:
        return self.input is not None or self.output is not None

    def blended(self, input_share: float = INPUT_SHARE) -> float | None:
        """One number for both; the known one where the other is not."""
        if self.input is None or self.output is None:
            return self.output if self.input is None else self.input
        return input_share * self.input + (1 - input_share) * self.output


@dataclass(frozen=True)
class PriceMove:
    """One dated row. `until` ends a promotion; `ends_at_least` says it may last longer.

    `permanent_from` is when a cut that began as a promotion became the list price.
    """

    date: dt.date
    provider: str
    model: str
    model_class: str
    currency: str
    before: Price
    after: Price
    kind: Kind
    source: str = ""
    confidence: str = "secondary"
    until: dt.date | None = None
    ends_at_least: bool = False
    permanent_from: dt.date | None = None

    @property
    def product(self) -> Product:
        return self.provider, self.model

    @property
    def log_change(self) -> float | None:
        """Logarithm of the price ratio, over the sides known both before and after.

        None where no side is known on both, or where a free tier begins or ends: a ratio with
        zero in it is no price move.
        """
        pairs = ((self.before.input, self.after.input), (self.before.output, self.after.output))
        whole = [before is not None and after is not None for before, after in pairs]
        if not any(whole):
            return None
        shown = [pair if known else (None, None) for pair, known in zip(pairs, whole, strict=True)]
        start = Price(*(before for before, _ in shown)).blended()
        end = Price(*(after for _, after in shown)).blended()
        if not start or not end:
            return None
        return math.log(end / start)


@dataclass(frozen=True)
class History:
    """Moves in order of date, by product. `end` is the last day that the history speaks of."""

    moves: tuple[PriceMove, ...]
    end: dt.date

    @classmethod
    def of(cls, moves: Iterable[PriceMove], end: dt.date | None = None) -> History:
        """Sort; raises ValueError without any move, or where one lies after `end`."""
        rows = tuple(sorted(moves, key=lambda move: (move.date, move.product)))
        if not rows:
            raise ValueError("a history needs at least one price move")
        end = end or rows[-1].date
        if rows[-1].date > end:
            raise ValueError(f"a move of {rows[-1].date} lies after the history's end, {end}")
        return cls(rows, end)

    def before(self, day: dt.date) -> tuple[PriceMove, ...]:
        return tuple(move for move in self.moves if move.date < day)

    @property
    def by_product(self) -> Mapping[Product, tuple[PriceMove, ...]]:
        found: dict[Product, list[PriceMove]] = {}
        for move in self.moves:
            found.setdefault(move.product, []).append(move)
        return MappingProxyType({product: tuple(rows) for product, rows in found.items()})


def month_number(day: dt.date) -> int:
    """Months since year 0: consecutive months differ by one."""
    return day.year * 12 + day.month - 1


def month_start(number: int) -> dt.date:
    return dt.date(number // 12, number % 12 + 1, 1)
