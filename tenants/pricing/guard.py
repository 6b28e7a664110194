"""What a price comes to for who pays it, laid beside its floor. Pure.

The *effective* price of a unit is the cheapest that it can be (its cheapest tier, or the average of
the units expected in a month where some are free or a cap is reached), net of the contract's
discount and of what credit and caps give back. It is compared per million tokens, in the currency
of costs. A price for one base is held against that base's floor; a price for any, against the
highest.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tenants.kernel.errors import InvalidInput
from tenants.pricing.cards import CardPrice
from tenants.pricing.charge_models import amount, lowest_unit
from tenants.pricing.exact import EXACT, ZERO, plain, quotient, round12
from tenants.pricing.floors import ClassFloor

MILLION = Decimal(1_000_000)
ONE = Decimal(1)
# meter → the kind of work whose cost its price must cover
SOLD_BY: Mapping[str, str] = {
    "tokens.input": "serve",
    "tokens.cached": "serve",
    "tokens.output": "serve",
    "tokens.embedded": "serve",
    "tokens.trained": "fine_tune",
}


@dataclass(frozen=True)
class Sale:
    """Prices as one pays them who buys by them: the list's buyers, or one tenant.

    `kept` is the share of what is rated that credit and caps leave. `fx_rate` turns the book's
    amounts into the currency of costs. `volumes` are what is expected of a price key in a month.
    It holds from `since` on.
    """

    book_id: str
    prices: Sequence[CardPrice]
    tenant_id: str = ""
    discount: Decimal = ZERO
    kept: Decimal = ONE
    fx_rate: Decimal = ONE
    volumes: Mapping[str, Decimal] = field(default_factory=dict)
    since: dt.datetime | None = None
    version_id: str = ""


@dataclass(frozen=True)
class EffectivePrice:
    """One price beside its floor; amounts in `currency` for a million tokens.

    Equal are two that say the same price, wherever the floor lies, whenever it begins and in
    whichever version.
    """

    book_id: str
    tenant_id: str
    price_key: str
    meter: str
    listed: Decimal
    discount: Decimal
    kept: Decimal
    effective: Decimal
    currency: str
    base: str = field(compare=False)
    floor: Decimal = field(compare=False)
    stop: Decimal = field(compare=False)
    since: dt.datetime | None = field(default=None, compare=False)
    version_id: str = field(default="", compare=False)

    @property
    def is_below(self) -> bool:
        return self.effective < self.floor

    @property
    def is_stopped(self) -> bool:
        """Whether it lies below what the sale itself costs: no loss budget goes there."""
        return self.effective < self.stop

    @property
    def margin(self) -> Decimal:
        return EXACT.subtract(self.effective, self.floor)

    @property
    def arithmetic(self) -> str:
        given = "" if self.kept == 1 else f" x {plain(self.kept)} (after credit and caps)"
        stop = f", and below its short-run cost of {plain(self.stop)}" if self.is_stopped else ""
        return (
            f"{self.price_key}: {plain(self.listed)} x (1 - {plain(self.discount)}){given} = "
            f"{plain(self.effective)} {self.currency} per million tokens, below the floor of "
            f"{plain(self.floor)} for {self.base} (short by {plain(EXACT.minus(self.margin))})"
            f"{stop}"
        )


def effective_prices(
    sale: Sale, floors: Sequence[ClassFloor], *, currency: str
) -> list[EffectivePrice]:
    """Every token price of a sale that has a floor, beside it.

    `currency` is that of costs.
    """
    found = []
    for price in sale.prices:
        floor = floor_of(price.meter, dict(price.match), floors)
        if floor is None:
            continue
        listed = EXACT.multiply(EXACT.multiply(_unit(price, sale), MILLION), sale.fx_rate)
        net = EXACT.multiply(listed, EXACT.subtract(ONE, sale.discount))
        found.append(
            EffectivePrice(
                book_id=sale.book_id,
                tenant_id=sale.tenant_id,
                price_key=price.key,
                meter=price.meter,
                base=floor.base,
                listed=listed,
                discount=sale.discount,
                kept=sale.kept,
                effective=round12(EXACT.multiply(net, sale.kept)),
                floor=floor.floor,
                stop=floor.stop,
                currency=currency,
                since=sale.since,
                version_id=sale.version_id,
            )
        )
    return found


def floor_of(
    meter: str, match: Mapping[str, str], floors: Iterable[ClassFloor]
) -> ClassFloor | None:
    """That of the base that a price names, else the highest; None where nothing was measured."""
    kind, base = SOLD_BY.get(meter), match.get("base")
    chosen = [f for f in floors if f.kind == kind and (base is None or f.base == base)]
    return max(chosen, key=lambda floor: floor.floor, default=None)


def kept_share(rated: Decimal, *, given: Decimal, cap: Decimal | None = None) -> Decimal:
    """What is left of a month's `rated` amount after a cap, and after credit `given` for nothing.

    In one currency; in 18 decimals. Where nothing is expected to be bought, credit leaves nothing.
    """
    least = rated if cap is None else min(rated, cap)
    if rated <= 0:
        return ZERO if given > 0 or cap == 0 else ONE
    return quotient(max(ZERO, EXACT.subtract(least, given)), rated)


def refuse(found: Sequence[EffectivePrice]) -> None:
    """Raises InvalidInput(code="price_below_floor") with the arithmetic of each."""
    if found:
        raise InvalidInput(
            "; ".join(_told(price) for price in found)
            + "; raise the price, or have an override granted with reason and expiry",
            param="prices",
            code="price_below_floor",
        )


def inverse(rate: Decimal) -> Decimal:
    """1 / rate, for comparing."""
    return quotient(ONE, rate)


def _told(price: EffectivePrice) -> str:
    return f"{price.arithmetic} for {price.tenant_id}" if price.tenant_id else price.arithmetic


def _unit(price: CardPrice, sale: Sale) -> Decimal:
    """The cheapest that a unit can be: free units and a cap count by the month that is expected."""
    lowest = lowest_unit(price.model)
    if not price.model.allowance and price.model.cap is None:
        return lowest
    volume = sale.volumes.get(price.key, ZERO)
    if volume <= 0:
        return ZERO if price.model.allowance or price.model.cap == 0 else lowest
    return min(lowest, quotient(amount(price.model, volume), volume))
