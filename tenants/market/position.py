"""Where we stand: each offer of ours beside the rivals of its class, in the currency of costs.

Prices are blended of a million tokens (`moves.INPUT_SHARE` of them input), as lists say them; the
floor is the price guard's. Reads of the system.
"""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tenants.costs.defaults import CURRENCY
from tenants.kernel.clock import database_now
from tenants.kernel.errors import InvalidInput, NotFound
from tenants.market.models import MarketOffer, MarketProduct
from tenants.market.moves import Price
from tenants.market.records import DECIMALS, price_on
from tenants.market.selectors import offers, products_on_sale
from tenants.pricing.cards import CardPrice, PriceList
from tenants.pricing.charge_models import lowest_unit
from tenants.pricing.guard import MILLION, SOLD_BY
from tenants.pricing.matching import matches
from tenants.pricing.models import PriceBook
from tenants.pricing.selectors import (
    exchange_rate,
    price_books,
    price_versions,
    version_prices,
)
from tenants.pricing.selectors.guarding import floors_now

SERVED = "serve"


@dataclass(frozen=True)
class OwnOffer:
    """`price` is None where the list prices no tokens of it, `floor` where the guard has none."""

    base: str
    model_class: str
    price: Decimal | None
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
    own = own_offers(rows)
    rivals = rivals_of({one.model_class for one in own})
    return [Position(one, rivals[one.model_class]) for one in own]


def own_offers(rows: Iterable[MarketOffer]) -> list[OwnOffer]:
    moment = database_now()
    prices = _list_prices(moment)
    floors = {each.base: each.floor for each in floors_now(moment) if each.kind == SERVED}
    return [_own(row, prices, floors.get(row.base)) for row in rows]


def rivals_of(classes: Collection[str]) -> dict[str, tuple[RivalOffer, ...]]:
    """The products of each class that are on sale, the cheapest first, unpriced ones last."""
    day, here = database_now().date(), Rates()
    found: dict[str, list[RivalOffer]] = {name: [] for name in classes}
    for product in products_on_sale(classes):
        found[product.model_class].append(_rival(product, day, here))
    return {name: tuple(sorted(each, key=_by_price)) for name, each in found.items()}


class Rates:
    """Prices in the currency of costs, at rates that are looked up once."""

    def __init__(self) -> None:
        self._rates: dict[str, Decimal] = {CURRENCY: Decimal(1)}

    def blended(self, price: Price, currency: str) -> Decimal | None:
        """Raises InvalidInput(code="fx_missing")."""
        blended = price.blended()
        if blended is None:
            return None
        if currency not in self._rates:
            self._rates[currency] = exchange_rate(currency, CURRENCY, database_now())
        return (Decimal(repr(blended)) * self._rates[currency]).quantize(DECIMALS)


def _rival(product: MarketProduct, day: dt.date, here: Rates) -> RivalOffer:
    try:
        return RivalOffer(product, here.blended(price_on(product, day), product.currency))
    except InvalidInput as error:
        return RivalOffer(product, None, error.message)


def _by_price(rival: RivalOffer) -> tuple[bool, Decimal, str]:
    return rival.price is None, rival.price or Decimal(0), str(rival.product)


def _own(row: MarketOffer, prices: PriceList | None, floor: Decimal | None) -> OwnOffer:
    sides = [_unit(prices, meter, row.base) for meter in ("tokens.input", "tokens.output")]
    blended = Price(*(None if side is None else float(side * MILLION) for side in sides)).blended()
    return OwnOffer(
        base=row.base,
        model_class=row.model_class,
        price=None if blended is None else Decimal(repr(blended)).quantize(DECIMALS),
        floor=floor,
    )


def _unit(prices: PriceList | None, meter: str, base: str) -> Decimal | None:
    """The list's price of one token of a base, before any discount."""
    found: Sequence[CardPrice] = prices.by_meter.get(meter, ()) if prices else ()
    of = {"base": base, "model": base}
    return next((lowest_unit(p.model) for p in found if matches(p.match, of)), None)


def list_book() -> PriceBook:
    """Raises NotFound."""
    book: PriceBook | None = price_books().filter(is_list=True).first()
    if book is None:
        raise NotFound("there is no list of prices yet")
    return book


def list_units(base: str) -> dict[str, Decimal]:
    """What the list asks for one unit of each meter of a base's tokens, before any discount."""
    prices = _list_prices(database_now())
    found = {meter: _unit(prices, meter, base) for meter in SOLD_BY}
    return {meter: unit for meter, unit in found.items() if unit is not None}


def _list_prices(moment: dt.datetime) -> PriceList | None:
    book = list_book()
    in_force = price_versions(book.id).filter(published_at__isnull=False, valid_from__lte=moment)
    version = in_force.order_by("-valid_from").first()
    return PriceList(tuple(version_prices(version))) if version else None
