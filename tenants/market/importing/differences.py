"""What a price list says has happened: a snapshot beside what was known before it. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from tenants.market.importing.per_token_json import CURRENCY, Listed
from tenants.market.moves import Kind, Price, PriceMove, Product

UNKNOWN = Price()


@dataclass(frozen=True)
class Known:
    """A product as it stood: in a promotion, `regular` is what it goes back to."""

    provider: str
    model: str
    model_class: str
    currency: str
    price: Price
    regular: Price = UNKNOWN


def product_key(provider: str, model: str) -> Product:
    """How a product is recognised: without regard to case, nor to its provider before its name."""
    provider, model = provider.casefold(), model.casefold()
    return provider, model.removeprefix(f"{provider}/")


def moves_since(
    listed: Iterable[Listed],
    known: Mapping[Product, Known],
    *,
    day: dt.date,
    source: str,
    listed_before: Container[str],
) -> list[PriceMove]:
    """One move for each listed product whose price is another than before, or that is new.

    A product nobody has heard of was launched only if an earlier list of its provider (lower case,
    in `listed_before`) lacked it; in a first list it may be years old, so it makes no move.
    """
    found = []
    for one in listed:
        before = known.get(product_key(one.provider, one.model))
        if before is not None:
            kind = _kind(before, one.price)
        elif one.provider.casefold() in listed_before:
            kind = Kind.LAUNCH if any(_sides(one.price)) else Kind.FREE
        else:
            continue
        if kind is not None:
            found.append(_move(one, before, kind, day, source))
    return found


def _kind(before: Known, after: Price) -> Kind | None:
    """None where nothing moved, or where the two cannot be compared."""
    if before.currency != CURRENCY or _same(before.price, after):
        return None
    if not any(_sides(after)):
        return Kind.FREE
    if before.regular.is_known and _same(before.regular, after):
        return Kind.PROMOTION_END
    change = PriceMove(dt.date.min, "", "", "", CURRENCY, before.price, after, Kind.CUT).log_change
    if change is None:
        return Kind.LAUNCH if not any(_sides(before.price)) else None
    return Kind.CUT if change < 0 else Kind.RISE if change > 0 else None


def _same(one: Price, other: Price) -> bool:
    """Sides that are known of both are equal, to the nine decimals that are kept."""
    return all(
        a is None or b is None or round(a, 9) == round(b, 9)
        for a, b in ((one.input, other.input), (one.output, other.output))
    )


def _sides(price: Price) -> list[float]:
    return [side for side in (price.input, price.output) if side is not None]


def _move(one: Listed, before: Known | None, kind: Kind, day: dt.date, source: str) -> PriceMove:
    begins = before is None or kind in {Kind.LAUNCH, Kind.FREE}
    return PriceMove(
        date=day,
        provider=before.provider if before else one.provider,
        model=before.model if before else one.model,
        model_class=before.model_class if before else "",
        currency=CURRENCY,
        before=UNKNOWN if begins or before is None else before.price,
        after=one.price,
        kind=kind,
        source=source,
    )
