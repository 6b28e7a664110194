"""What a statement says beyond what was charged and stated before. Pure.

`Stated` is a period's lines by what they are for. The difference between what a period comes to now
and what was charged for it is posted; the difference to what earlier statements said of it comes
as late lines onto the next one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from tenants.pricing.rating import USAGE, Adjustment, RatedLine, RatedPeriod

ZERO = Decimal(0)
LATE = "late"  # a line of an earlier month
RERATING = "rerating"  # a charge line: what the month's end made of its provisional charges


@dataclass(frozen=True, order=True)
class LineKey:
    """What a line is for."""

    kind: str
    revenue: str
    price_key: str = ""
    version_id: str = ""
    contract_id: str = ""

    def to_text(self) -> str:
        """One text for one key; the price key last, as it may hold anything."""
        return f"{self.kind}|{self.revenue}|{self.version_id}|{self.contract_id}|{self.price_key}"

    @classmethod
    def from_text(cls, text: str) -> LineKey:
        kind, revenue, version_id, contract_id, price_key = text.split("|", 4)
        return cls(kind, revenue, price_key, version_id, contract_id)


@dataclass(frozen=True)
class Sum:
    quantity: Decimal = ZERO
    exact: Decimal = ZERO

    def __sub__(self, other: Sum) -> Sum:
        return Sum(self.quantity - other.quantity, self.exact - other.exact)

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.quantity + other.quantity, self.exact + other.exact)

    def __bool__(self) -> bool:
        return bool(self.quantity or self.exact)


Stated = Mapping[LineKey, Sum]


@dataclass(frozen=True)
class Late:
    """What an earlier `period` comes to now, beyond what statements said of it."""

    period: dt.date
    key: LineKey
    sum: Sum


def stated_of(rated: RatedPeriod) -> dict[LineKey, Sum]:
    """The lines of a rated period, its own late lines apart."""
    found: dict[LineKey, Sum] = {}
    for line in rated.lines:
        if line.kind != LATE:
            key = _key(line)
            found[key] = found.get(key, Sum()) + Sum(line.quantity, line.exact)
    return found


def difference(now: Stated, before: Stated) -> dict[LineKey, Sum]:
    """What `now` says beyond `before`, in a fixed order; nothing where they agree."""
    keys = sorted(now.keys() | before.keys())
    found = {key: now.get(key, Sum()) - before.get(key, Sum()) for key in keys}
    return {key: part for key, part in found.items() if part}


def late_lines(now: Mapping[dt.date, Stated], before: Mapping[dt.date, Stated]) -> list[Late]:
    """In order of month, then of line."""
    return [
        Late(period, key, part)
        for period in sorted(now)
        for key, part in difference(now[period], before.get(period, {})).items()
    ]


def adjustments_of(late: Iterable[Late]) -> tuple[Adjustment, ...]:
    """Late lines as the rating takes them: outside of this month's caps and commitments.

    In the order in which `rate` keeps them, by revenue; see `in_rated_order`.
    """
    return tuple(
        Adjustment(LATE, part.key.revenue, "", part.sum.exact) for part in in_rated_order(late)
    )


def in_rated_order(late: Iterable[Late]) -> list[Late]:
    """Late lines that change money, in the order in which they stand in a rated period."""
    return sorted((part for part in late if part.sum.exact), key=lambda part: part.key.revenue)


def by_revenue(parts: Mapping[LineKey, Sum]) -> dict[str, Decimal]:
    """Sums of money by revenue line; nothing where a line comes to nothing."""
    sums: dict[str, Decimal] = {}
    for key, part in parts.items():
        sums[key.revenue] = sums.get(key.revenue, ZERO) + part.exact
    return {revenue: net for revenue, net in sums.items() if net}


def charged_key(key: LineKey) -> LineKey:
    """A charge line's place among rated lines: provisional usage and its re-rating are one."""
    if key.kind == RERATING:
        return LineKey(USAGE, key.revenue, key.price_key, key.version_id, key.contract_id)
    return key


def stated_to_json(stated: Mapping[dt.date, Stated]) -> dict[str, dict[str, list[str]]]:
    return {
        period.isoformat(): {
            key.to_text(): [f"{part.quantity:f}", f"{part.exact:f}"]
            for key, part in sorted(lines.items())
        }
        for period, lines in sorted(stated.items())
    }


def stated_from_json(
    data: Mapping[str, Mapping[str, list[str]]],
) -> dict[dt.date, dict[LineKey, Sum]]:
    return {
        dt.date.fromisoformat(period): {
            LineKey.from_text(text): Sum(Decimal(quantity), Decimal(exact))
            for text, (quantity, exact) in lines.items()
        }
        for period, lines in data.items()
    }


def _key(line: RatedLine) -> LineKey:
    return LineKey(line.kind, line.revenue, line.price_key, line.version_id, line.contract_id)
