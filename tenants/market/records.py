"""Rows and what they say: `PriceMove`s and prices to and from the tables."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from tenants.market.importing.differences import Known
from tenants.market.models import MarketMove, MarketProduct
from tenants.market.moves import Kind, Price, PriceMove

DECIMALS = Decimal("1e-9")
_SIDES = ("input", "output")


def stored(price: float | None) -> Decimal | None:
    return None if price is None else Decimal(repr(price)).quantize(DECIMALS)


def price_of(row: Any, form: str = "{}") -> Price:
    """The price whose columns are named as `form` says, such as `{}_after`."""
    found = (getattr(row, form.format(side)) for side in _SIDES)
    return Price(*(None if value is None else float(value) for value in found))


def price_columns(price: Price, form: str = "{}") -> dict[str, Decimal | None]:
    return {form.format(side): stored(getattr(price, side)) for side in _SIDES}


def move_columns(move: PriceMove) -> dict[str, Any]:
    """All of a MarketMove but its product and file."""
    return {
        "date": move.date,
        "kind": move.kind,
        "currency": move.currency,
        "source": move.source,
        "confidence": move.confidence,
        "until": move.until,
        "ends_at_least": move.ends_at_least,
        "permanent_from": move.permanent_from,
        **price_columns(move.before, "{}_before"),
        **price_columns(move.after, "{}_after"),
    }


def move_of(row: MarketMove) -> PriceMove:
    """Its class is what its product is in today: a product that is moved takes its past along."""
    return PriceMove(
        date=row.date,
        provider=row.product.provider,
        model=row.product.model,
        model_class=row.product.model_class,
        currency=row.currency,
        before=price_of(row, "{}_before"),
        after=price_of(row, "{}_after"),
        kind=Kind(row.kind),
        source=row.source,
        confidence=row.confidence,
        until=row.until,
        ends_at_least=row.ends_at_least,
        permanent_from=row.permanent_from,
    )


def known_of(row: MarketProduct) -> Known:
    return Known(
        provider=row.provider,
        model=row.model,
        model_class=row.model_class,
        currency=row.currency,
        price=price_of(row),
        regular=price_of(row, "regular_{}"),
    )


def product_follow(row: MarketProduct, move: PriceMove) -> None:
    """Let a product's price be what `move` made it, unless something later is known.

    Off-peak prices are another tier's.
    """
    if move.date < row.priced_on or move.kind is Kind.OFF_PEAK:
        return
    begins = move.kind is Kind.PROMOTION
    regular = (move.before if move.before.is_known else price_of(row)) if begins else Price()
    row.priced_on, row.currency = move.date, move.currency
    row.promotion_until = move.until if begins else None
    for side in _SIDES:
        after = getattr(move.after, side)
        if after is not None:
            setattr(row, side, stored(after))
        setattr(row, f"regular_{side}", stored(getattr(regular, side)))


def price_on(row: MarketProduct, day: dt.date) -> Price:
    """What a product costs on a day: its regular price after an announced promotion's end."""
    over = row.promotion_until is not None and row.promotion_until < day
    regular = price_of(row, "regular_{}")
    return regular if over and regular.is_known else price_of(row)
