"""The lowest price at which a sale still earns its margin, and how it is told from costs. Pure.

p x (1 - fees - share - margin) >= C: what a percentage of the price takes (ad-valorem fees, a
partner's share, the margin wanted) is paid from the price itself; C holds fixed fees only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Context, Decimal
from typing import Protocol

from tenants.kernel.errors import InvalidInput

WIDE = Context(prec=60)
ONE = Decimal(1)
_QUANTUM = Decimal(1).scaleb(-9)
BASES = ("long_run_high", "long_run", "short_run")
LEAST = Decimal(1_000_000)  # tokens: what fewer cost says nothing of what a million cost


@dataclass(frozen=True)
class Takes:
    """What is taken of a price, as shares of it. Raises InvalidInput where nothing is left."""

    fees: Decimal = Decimal(0)
    share: Decimal = Decimal(0)
    margin: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        for name in ("fees", "share", "margin"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidInput(f"{name} is a share of the price, from 0 to below 1", param=name)
        if self.kept <= 0:
            raise InvalidInput("fees, share and margin together leave nothing of a price")

    @property
    def kept(self) -> Decimal:
        """What is left of a price to pay costs from."""
        return ONE - self.fees - self.share - self.margin


def price_floor(cost: Decimal, takes: Takes) -> Decimal:
    """The floor of a unit's effective price, for its cost with fixed fees, in 60 digits."""
    if cost < 0:
        raise InvalidInput("a cost is at least 0", param="cost")
    return WIDE.divide(cost, takes.kept)


@dataclass(frozen=True)
class FloorTerms:
    """How floors are told: on which cost, at which utilisation, from how many days of costs.

    Credit that was given is spread over `months`. Raises InvalidInput.
    """

    basis: str = "long_run_high"
    planned_utilisation: Decimal = Decimal("0.70")
    takes: Takes = field(default_factory=Takes)
    days: int = 30
    months: int = 12

    def __post_init__(self) -> None:
        if self.basis not in BASES:
            raise InvalidInput(f"basis is one of {', '.join(BASES)}", param="basis")
        if not 0 < self.planned_utilisation <= 1:
            raise InvalidInput(
                "planned utilisation is above 0 and at most 1", param="planned_utilisation"
            )
        if not 1 <= self.days <= 366:
            raise InvalidInput("costs are looked back upon for 1 to 366 days", param="days")
        if not 1 <= self.months <= 60:
            raise InvalidInput("given credit is spread over 1 to 60 months", param="months")


class Costs(Protocol):
    """What a million tokens of a class cost, by `basis`."""

    @property
    def kind(self) -> str: ...
    @property
    def base(self) -> str: ...
    @property
    def tokens(self) -> Decimal: ...
    @property
    def short_run(self) -> Decimal: ...
    @property
    def long_run(self) -> Decimal: ...
    @property
    def long_run_high(self) -> Decimal: ...


@dataclass(frozen=True)
class ClassFloor:
    """Of a million tokens of `kind` of work on `base`, in the currency of costs.

    Prices reach `floor`; below `stop`, the short-run marginal cost with what is taken of a price
    but no margin, no loss budget goes. Never is `stop` above `floor`.
    """

    kind: str
    base: str
    floor: Decimal
    stop: Decimal


def class_floors(costs: Iterable[Costs], terms: FloorTerms) -> list[ClassFloor]:
    """The floor of each class that made `LEAST` tokens or more, rounded up to 9 decimals."""
    bare = Takes(terms.takes.fees, terms.takes.share)
    found = []
    for cost in (cost for cost in costs if cost.tokens >= LEAST):
        floor = price_floor(getattr(cost, terms.basis), terms.takes)
        stop = min(floor, price_floor(cost.short_run, bare))
        found.append(ClassFloor(cost.kind, cost.base, _up(floor), _up(stop)))
    return found


def _up(amount: Decimal) -> Decimal:
    return amount.quantize(_QUANTUM, rounding=ROUND_CEILING, context=WIDE)
