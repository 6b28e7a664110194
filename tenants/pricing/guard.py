"""The price guard, first form: no token is sold below what it was measured to cost. Pure.

Compared are the cheapest unit of each token price, net of discount, and the unit cost of the work
that it sells, per million tokens, in the currency of costs. A price for one base model is held
against that base's cost; a price for any, against the dearest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tenants.kernel.errors import InvalidInput
from tenants.pricing.cards import CardPrice
from tenants.pricing.charge_models import lowest_unit
from tenants.pricing.exact import EXACT, plain, quotient

MILLION = Decimal(1_000_000)
# meter → the kind of work whose cost its price must cover
SOLD_BY: Mapping[str, str] = {
    "tokens.input": "serve",
    "tokens.cached": "serve",
    "tokens.output": "serve",
    "tokens.embedded": "serve",
    "tokens.trained": "fine_tune",
}


@dataclass(frozen=True)
class MeasuredCost:
    """What a million tokens of `kind` of work on `base` cost lately."""

    kind: str
    base: str
    per_million: Decimal


@dataclass(frozen=True)
class Shortfall:
    """A price below cost; amounts in `currency` for a million tokens."""

    price_key: str
    meter: str
    base: str
    listed: Decimal
    discount: Decimal
    effective: Decimal
    cost: Decimal
    currency: str

    @property
    def arithmetic(self) -> str:
        return (
            f"{self.price_key}: {plain(self.listed)} x (1 - {plain(self.discount)}) = "
            f"{plain(self.effective)} {self.currency} per million tokens, below the measured cost "
            f"of {plain(self.cost)} for {self.base} (short by "
            f"{plain(EXACT.subtract(self.cost, self.effective))})"
        )


def shortfalls(
    prices: Iterable[CardPrice],
    costs: Sequence[MeasuredCost],
    *,
    discount: Decimal = Decimal(0),
    fx_rate: Decimal = Decimal(1),
    currency: str,
) -> list[Shortfall]:
    """Return every token price whose effective unit lies below its cost.

    `fx_rate` turns the book's amounts into `currency`, that of the costs.
    """
    found = []
    for price in prices:
        kind = SOLD_BY.get(price.meter)
        cost = _cost(price, [c for c in costs if c.kind == kind])
        if cost is None:
            continue
        listed = EXACT.multiply(EXACT.multiply(lowest_unit(price.model), MILLION), fx_rate)
        effective = EXACT.multiply(listed, EXACT.subtract(Decimal(1), discount))
        if effective < cost.per_million:
            found.append(
                Shortfall(
                    price_key=price.key,
                    meter=price.meter,
                    base=cost.base,
                    listed=listed,
                    discount=discount,
                    effective=effective,
                    cost=cost.per_million,
                    currency=currency,
                )
            )
    return found


def refuse(found: Sequence[Shortfall]) -> None:
    """Raises InvalidInput(code="price_below_cost") with the arithmetic of each."""
    if found:
        raise InvalidInput(
            "below cost: "
            + "; ".join(shortfall.arithmetic for shortfall in found)
            + "; raise the price, or have an override granted with reason and expiry",
            param="prices",
            code="price_below_cost",
        )


def _cost(price: CardPrice, costs: Sequence[MeasuredCost]) -> MeasuredCost | None:
    """That of the base that the price names, else the dearest."""
    base = dict(price.match).get("base")
    chosen = [cost for cost in costs if base is None or cost.base == base]
    return max(chosen, key=lambda cost: cost.per_million, default=None)


def inverse(rate: Decimal) -> Decimal:
    """1 / rate, for comparing."""
    return quotient(Decimal(1), rate)
