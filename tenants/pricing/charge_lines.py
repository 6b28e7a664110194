"""The lines of one charge: rated usage, what its quote adjusts and caps, what is waived. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Protocol

from tenants.pricing.cards import CardPrice, RateCard, Terms, period_of
from tenants.pricing.exact import EXACT, ZERO, round12
from tenants.pricing.matching import match_in
from tenants.pricing.rating import ADJUSTMENT, QUOTE_CAP, USAGE, WAIVER, Piece, pieces_amount

TotalKey = tuple[str, dt.date, str, str]  # tenant, month, currency, price key
CardKey = tuple[str, str]  # version, contract
Totals = dict[TotalKey, dict[CardKey, list[Decimal]]]  # → [quantity, net] so far


class Counted(Protocol):
    """A charge's item."""

    @property
    def meter(self) -> str: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def dimensions(self) -> Mapping[str, str]: ...
    @property
    def event_time(self) -> dt.datetime: ...


@dataclass(frozen=True)
class Line:
    """A row of `charge_line`, its charge and tenant apart."""

    period: dt.date
    day: dt.date
    kind: str
    revenue: str
    currency: str
    net: Decimal
    quantity: Decimal = ZERO
    meter: str = ""
    price_key: str = ""
    version_id: str = ""
    contract_id: str = ""
    model: str = ""
    api_key_id: str = ""
    user_id: str = ""
    seller: str = ""  # who shares in it; no column: shares are rows of their own


def rated_lines(
    items: Sequence[Counted],
    terms: Sequence[Terms],
    totals: Totals,
    labels: Mapping[str, str],
) -> list[Line]:
    """One line an item: by how much its month's amount exceeds what was charged so far.

    `terms` are each item's; `totals` are moved on. No line is below 0: what a volume price gives
    back where it falls is left to the statement.
    """
    lines = []
    for item, its in zip(items, terms, strict=True):
        card = its.at(item.event_time)
        price = card.price_of(item.meter, item.dimensions)
        place = card.tenant_id, its.period, card.currency, price.key
        held = totals.setdefault(place, {})
        mine = held.setdefault((card.version_id, card.contract_id), [ZERO, ZERO])
        with localcontext(EXACT):
            mine[0] += item.quantity
            charged = sum((total[1] for total in held.values()), ZERO)
            net = max(ZERO, _due(its, price.key, held) - charged)
            mine[1] += net
        lines.append(_line(item, card, price, net, labels))
    return lines


def _due(terms: Terms, key: str, held: Mapping[CardKey, list[Decimal]]) -> Decimal:
    """What a key's quantities of a month cost so far: as `rate` will price them.

    What was charged under a card that is no longer in the terms stands.
    """
    pieces = [
        Piece(card.prices.by_key[key].model, held[name][0], card.factor)
        for name, card in terms.by_name.items()
        if name in held
    ]
    standing = sum((held[name][1] for name in held if name not in terms.by_name), ZERO)
    return standing + pieces_amount(pieces)


def _line(
    item: Counted, card: RateCard, price: CardPrice, net: Decimal, labels: Mapping[str, str]
) -> Line:
    said = {**labels, **item.dimensions}
    return Line(
        period=period_of(item.event_time),
        day=item.event_time.astimezone(dt.UTC).date(),
        kind=USAGE,
        revenue=price.revenue,
        currency=card.currency,
        net=net,
        quantity=item.quantity,
        meter=item.meter,
        price_key=price.key,
        version_id=card.version_id,
        contract_id=card.contract_id,
        model=said.get("model", ""),
        api_key_id=said.get("api_key_id", ""),
        user_id=said.get("user_id", ""),
        seller=seller_of(item.dimensions),
    )


def seller_of(dimensions: Mapping[str, str]) -> str:
    """The name under which something was sold, where a partner may have sold it; else nothing."""
    for kind in ("plugin", "service"):
        if kind in dimensions:
            return f"{kind}:{dimensions[kind]}"
    return ""


def seller_in(price_key: str) -> str:
    """`seller_of` what a price is for."""
    return seller_of(match_in(price_key))


def adjusted(lines: Sequence[Line], share: Decimal) -> list[Line]:
    """Lines that change each of `lines` by a share of it: below 0 a discount."""
    changes = [(line, round12(EXACT.multiply(line.net, share))) for line in lines]
    return [_against(line, ADJUSTMENT, EXACT.minus(net)) for line, net in changes if net]


def capped(lines: Sequence[Line], bound: Decimal) -> list[Line]:
    """Lines that bring the sum down to `bound`: from the last line backwards, none below 0."""
    with localcontext(EXACT):
        over = sum((line.net for line in lines), ZERO) - max(ZERO, bound)
        found = []
        for line in reversed(lines):
            cut = min(over, line.net)
            if cut > 0:
                found.append(_against(line, QUOTE_CAP, cut))
                over -= cut
        return found


def waived(
    lines: Sequence[Line], charged: Mapping[str, Decimal], moment: dt.datetime, currency: str
) -> list[Line]:
    """Lines that give back this charge's `lines`, and by revenue line what was `charged` before."""
    with localcontext(EXACT):
        found = [_against(line, WAIVER, line.net) for line in lines if line.net]
        for revenue, net in sorted(charged.items()):
            if net > 0:
                found.append(
                    Line(
                        period=period_of(moment),
                        day=moment.astimezone(dt.UTC).date(),
                        kind=WAIVER,
                        revenue=revenue,
                        currency=currency,
                        net=-net,
                    )
                )
        return found


def _against(line: Line, kind: str, net: Decimal) -> Line:
    """A line that takes `net` off `line`; it counts nothing."""
    return Line(**{**line.__dict__, "kind": kind, "net": EXACT.minus(net), "quantity": ZERO})
