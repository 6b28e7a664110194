"""Charge models: what a period's quantity of one meter costs, in the price book's currency. Pure.

`amount(model, quantity)` is cumulative over a period and exact: nothing is rounded here. It starts
at 0 and, volume prices apart, never falls as the quantity grows. Unit prices are for `per` units,
a power of ten, so that dividing by it is exact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import NamedTuple

from tenants.pricing.exact import EXACT, ZERO, quotient

ONE = Decimal(1)


@dataclass(frozen=True, kw_only=True)
class ChargeModel(ABC):
    """`allowance`: units free in each period. `minimum` and `cap`: least (once anything beyond the
    allowance was used) and most that a period costs.
    """

    allowance: Decimal = ZERO
    minimum: Decimal | None = None
    cap: Decimal | None = None

    @abstractmethod
    def of(self, units: Decimal) -> Decimal:
        """What `units` > 0 beyond the allowance cost."""

    @abstractmethod
    def most_for(self, units: Decimal) -> Decimal:
        """The most that `units` can add, wherever in the period they fall."""

    @abstractmethod
    def lowest_unit(self) -> Decimal:
        """The price of a unit where it is cheapest, the allowance apart (18 decimals)."""


@dataclass(frozen=True, kw_only=True)
class Flat(ChargeModel):
    """`fee` once in a period in which anything was used."""

    fee: Decimal

    def of(self, units: Decimal) -> Decimal:
        return self.fee if units else ZERO

    def most_for(self, units: Decimal) -> Decimal:
        return self.of(units)

    def lowest_unit(self) -> Decimal:
        return ZERO


@dataclass(frozen=True, kw_only=True)
class Standard(ChargeModel):
    """`unit` for every `per` units."""

    unit: Decimal
    per: Decimal = ONE

    def of(self, units: Decimal) -> Decimal:
        return _per(units * self.unit, self.per)

    def most_for(self, units: Decimal) -> Decimal:
        return self.of(units)

    def lowest_unit(self) -> Decimal:
        return _per(self.unit, self.per)


@dataclass(frozen=True, kw_only=True)
class CostPlus(ChargeModel):
    """A declared `cost` for every `per` units, and `markup` percent on top."""

    cost: Decimal
    markup: Decimal
    per: Decimal = ONE

    def of(self, units: Decimal) -> Decimal:
        return _per(units * self.cost, self.per) * (100 + self.markup).scaleb(-2)

    def most_for(self, units: Decimal) -> Decimal:
        return self.of(units)

    def lowest_unit(self) -> Decimal:
        return self.of(ONE)


@dataclass(frozen=True, kw_only=True)
class Percentage(ChargeModel):
    """`percent` of a quantity that is itself money (of the book's currency)."""

    percent: Decimal

    def of(self, units: Decimal) -> Decimal:
        return units * self.percent.scaleb(-2)

    def most_for(self, units: Decimal) -> Decimal:
        return self.of(units)

    def lowest_unit(self) -> Decimal:
        return self.of(ONE)


@dataclass(frozen=True, kw_only=True)
class Package(ChargeModel):
    """`price` for each begun package of `size` units."""

    price: Decimal
    size: Decimal

    def of(self, units: Decimal) -> Decimal:
        whole = units // self.size
        begun = whole if whole * self.size == units else whole + 1
        return begun * self.price

    def most_for(self, units: Decimal) -> Decimal:
        return self.of(units)

    def lowest_unit(self) -> Decimal:
        return quotient(self.price, self.size)


@dataclass(frozen=True)
class Tier:
    """Units up to and including `up_to` (None: all further ones): `unit` each `per`, and `fee` once
    the tier is entered.
    """

    up_to: Decimal | None
    unit: Decimal
    fee: Decimal = ZERO


@dataclass(frozen=True, kw_only=True)
class Graduated(ChargeModel):
    """Each unit at the price of the tier it falls into."""

    tiers: tuple[Tier, ...]
    per: Decimal = ONE

    def of(self, units: Decimal) -> Decimal:
        total, below = ZERO, ZERO
        for tier in self.tiers:
            top = units if tier.up_to is None else min(units, tier.up_to)
            total += _per((top - below) * tier.unit, self.per) + tier.fee
            if top == units:
                break
            below = top
        return total

    def most_for(self, units: Decimal) -> Decimal:
        dearest = max(tier.unit for tier in self.tiers)
        fees = sum((tier.fee for tier in self.tiers), ZERO)
        return _per(units * dearest, self.per) + fees

    def lowest_unit(self) -> Decimal:
        return _per(min(tier.unit for tier in self.tiers), self.per)


@dataclass(frozen=True, kw_only=True)
class Volume(ChargeModel):
    """All units at the price of the tier that their number reaches: may fall where one begins."""

    tiers: tuple[Tier, ...]
    per: Decimal = ONE

    def of(self, units: Decimal) -> Decimal:
        reached = next(t for t in self.tiers if t.up_to is None or units <= t.up_to)
        return _per(units * reached.unit, self.per) + reached.fee

    def most_for(self, units: Decimal) -> Decimal:
        """A step from tier `low` into tier `high` also re-prices what came before."""
        return max(
            _per(units * high.unit, self.per)
            + high.fee
            + _per((low.up_to or ZERO) * max(ZERO, high.unit - low.unit), self.per)
            for number, low in enumerate(self.tiers)
            for high in self.tiers[number:]
        )

    def lowest_unit(self) -> Decimal:
        return _per(min(tier.unit for tier in self.tiers), self.per)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Another model for each combination of `dimensions` (model x hardware x region).

    Not priced itself: a rate card lays each cell out as a price of its own.
    """

    dimensions: tuple[str, ...]
    cells: tuple[tuple[tuple[str, ...], ChargeModel], ...]

    def matches(self) -> list[tuple[dict[str, str], ChargeModel]]:
        """Each cell as (values by dimension, model)."""
        return [
            (dict(zip(self.dimensions, values, strict=True)), model) for values, model in self.cells
        ]


AnyModel = ChargeModel | Matrix
MODELS: Mapping[str, type[AnyModel]] = {
    "flat": Flat,
    "standard": Standard,
    "graduated": Graduated,
    "volume": Volume,
    "package": Package,
    "percentage": Percentage,
    "cost_plus": CostPlus,
    "matrix": Matrix,
}


def amount(model: ChargeModel, quantity: Decimal) -> Decimal:
    """What `quantity` units cost in one period, exact. Raises ValueError for a negative one."""
    if not quantity.is_finite() or quantity < 0:
        raise ValueError(f"a quantity is finite and at least 0, not {quantity}")
    with localcontext(EXACT):
        units = quantity - model.allowance
        if units <= 0:
            return ZERO
        return _bounded(model, model.of(units))


def most(model: ChargeModel, quantity: Decimal) -> Decimal:
    """The most that `quantity` units can add to a period, whatever else is used in it.

    No allowance is counted on: other work may use it up first.
    """
    if quantity <= 0:
        return ZERO
    with localcontext(EXACT):
        added = model.most_for(quantity) + (model.minimum or ZERO)
        return added if model.cap is None else min(added, model.cap)


def lowest_unit(model: ChargeModel) -> Decimal:
    """The price of one unit where it is cheapest, the allowance apart."""
    with localcontext(EXACT):
        return model.lowest_unit()


class UnitPrice(NamedTuple):
    """`amount` of the book's `currency` for each unit, before any discount."""

    amount: Decimal
    currency: str


def constant_unit(model: ChargeModel) -> Decimal | None:
    """What each unit costs, where every one costs the same; None where it depends on the others."""
    if not isinstance(model, Standard | CostPlus):
        return None
    if model.allowance or model.minimum is not None or model.cap is not None:
        return None
    return lowest_unit(model)


def _bounded(model: ChargeModel, total: Decimal) -> Decimal:
    if model.minimum is not None:
        total = max(total, model.minimum)
    return total if model.cap is None else min(total, model.cap)


def _per(value: Decimal, per: Decimal) -> Decimal:
    """`per` is a power of ten: an exact shift."""
    return value.scaleb(-per.adjusted())
