"""Where we stand: each offer of ours beside the rivals of its class, in the currency of costs.

Prices are blended of a million tokens (`moves.INPUT_SHARE` of them input), as lists say them; the
floor is what pays the long run's upper bound of the last 30 days. Reads of the system.
"""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tenants.costs.daily import DAY, midnight
from tenants.costs.defaults import CURRENCY
from tenants.costs.unit_economics import UnitEconomics, unit_economics
from tenants.kernel.clock import database_now
from tenants.kernel.errors import InvalidInput
from tenants.market.models import MarketOffer, MarketProduct
from tenants.market.moves import Price
from tenants.market.records import DECIMALS, price_on
from tenants.market.selectors import offers, products_on_sale
from tenants.pricing.cards import CardPrice, PriceList
from tenants.pricing.charge_models import lowest_unit
from tenants.pricing.floors import Takes, price_floor
from tenants.pricing.guard import MILLION
from tenants.pricing.matching import matches
from tenants.pricing.selectors import (
    exchange_rate,
    price_books,
    price_versions,
    version_prices,
)

LATELY = 30 * DAY
SERVED = "serve"


@dataclass(frozen=True)
class OwnOffer:
    """`price` is None where the list prices no tokens of it, costs where nothing was served."""

    base: str
    model_class: str
    price: Decimal | None
    short_run: Decimal | None
    long_run: Decimal | None
    floor: Decimal | None


@dataclass(frozen=True)
class RivalOffer:
    """`price` is None where its currency has no rate, or it has no price; 0 is a free tier."""

    product: MarketProduct
    price: Decimal | None
    missing: str = ""


@dataclass(frozen=True)
class Position:
    """Rivals by price, the cheapest first; `rank` is ours among those that are priced, from 1."""

    own: OwnOffer
    rivals: tuple[RivalOffer, ...]

    @property
    def priced(self) -> tuple[Decimal, ...]:
        return tuple(rival.price for rival in self.rivals if rival.price)

    @property
    def cheapest(self) -> Decimal | None:
        return min(self.priced, default=None)

    @property
    def median(self) -> Decimal | None:
        return statistics.median(self.priced) if self.priced else None

    @property
    def rank(self) -> int | None:
        if self.own.price is None or not self.priced:
            return None
        ours = self.own.price
        return 1 + sum(price < ours for price in self.priced)

    @property
    def gap(self) -> Decimal | None:
        """By how much we are above the cheapest, as a share of it."""
        if self.own.price is None or not self.cheapest:
            return None
        return self.own.price / self.cheapest - 1

    @property
    def below_floor(self) -> tuple[RivalOffer, ...]:
        """Rivals who sell for less than we can."""
        floor = self.own.floor
        return tuple(r for r in self.rivals if floor and r.price and r.price < floor)


def positions(model_class: str = "") -> list[Position]:
    """Every offer of ours (of one class), beside its rivals."""
    rows = offers().filter(model_class=model_class) if model_class else offers()
    day = database_now().date()
    own = own_offers(rows)
    rivals = {name: rivals_of(name, day) for name in {one.model_class for one in own}}
    return [Position(one, rivals[one.model_class]) for one in own]


def own_offers(rows: Iterable[MarketOffer]) -> list[OwnOffer]:
    moment = database_now()
    prices, costs = _list_prices(moment), _costs(moment)
    return [_own(row, prices, costs.get(row.base)) for row in rows]


def rivals_of(model_class: str, day: dt.date) -> tuple[RivalOffer, ...]:
    """The products of a class that are on sale, the cheapest first, unpriced ones last."""
    found = [rival_offer(product, day) for product in products_on_sale(model_class)]
    return tuple(sorted(found, key=lambda r: (r.price is None, r.price or 0, str(r.product))))


def rival_offer(product: MarketProduct, day: dt.date) -> RivalOffer:
    try:
        return RivalOffer(product, blended_here(price_on(product, day), product.currency))
    except InvalidInput as error:
        return RivalOffer(product, None, error.message)


def blended_here(price: Price, currency: str) -> Decimal | None:
    """A price in the currency of costs. Raises InvalidInput(code="fx_missing")."""
    blended = price.blended()
    if blended is None:
        return None
    rate = exchange_rate(currency, CURRENCY, database_now())
    return (Decimal(repr(blended)) * rate).quantize(DECIMALS)


def _own(row: MarketOffer, prices: PriceList | None, cost: UnitEconomics | None) -> OwnOffer:
    sides = [_unit(prices, meter, row.base) for meter in ("tokens.input", "tokens.output")]
    blended = Price(*(None if side is None else float(side * MILLION) for side in sides)).blended()
    return OwnOffer(
        base=row.base,
        model_class=row.model_class,
        price=None if blended is None else Decimal(repr(blended)).quantize(DECIMALS),
        short_run=cost.short_run if cost else None,
        long_run=cost.long_run if cost else None,
        floor=price_floor(cost.long_run_high, Takes()).quantize(DECIMALS) if cost else None,
    )


def _unit(prices: PriceList | None, meter: str, base: str) -> Decimal | None:
    """The list's price of one token of a base, before any discount."""
    found: Sequence[CardPrice] = prices.by_meter.get(meter, ()) if prices else ()
    of = {"base": base, "model": base}
    return next((lowest_unit(p.model) for p in found if matches(p.match, of)), None)


def _list_prices(moment: dt.datetime) -> PriceList | None:
    book = price_books().filter(is_list=True).first()
    if book is None:
        return None
    in_force = price_versions(book.id).filter(published_at__isnull=False, valid_from__lte=moment)
    version = in_force.order_by("-valid_from").first()
    return PriceList(tuple(version_prices(version))) if version else None


def _costs(moment: dt.datetime) -> Mapping[str, UnitEconomics]:
    until = midnight(moment + DAY)
    found = unit_economics(since=until - LATELY, until=until)
    return {row.base: row for row in found if row.kind == SERVED}
