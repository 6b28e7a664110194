"""Alerts: a rival has moved lately where we sell, and how near it came."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from decimal import Decimal

from tenants.costs.defaults import CURRENCY
from tenants.kernel.clock import database_now
from tenants.kernel.errors import InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from tenants.market.events import RivalMoved
from tenants.market.models import MarketAlert, MarketMove
from tenants.market.moves import Kind
from tenants.market.position import OwnOffer, Rates, own_offers
from tenants.market.records import price_of
from tenants.market.selectors import offers

RECENT = dt.timedelta(days=31)  # an older move is history, no news
Level = MarketAlert.Level


def alerts_write(new: Sequence[MarketMove]) -> list[MarketAlert]:
    """An alert and an event for each recent move in the class of an offer of ours."""
    since = database_now().date() - RECENT
    recent = [move for move in new if move.date >= since and move.kind != Kind.OFF_PEAK]
    if not recent:
        return []
    own, here = own_offers(offers()), Rates()
    found = [alert for move in recent for alert in _alerts(move, own, here)]
    MarketAlert.objects.bulk_create(found)
    emit(*(_told(alert) for alert in found))
    return found


def level_of(theirs: Decimal | None, own: OwnOffer) -> Level:
    """A free tier undercuts everything."""
    if theirs is None:
        return Level.MOVED
    if own.floor is not None and theirs < own.floor:
        return Level.BELOW_FLOOR
    if own.price is not None and theirs < own.price:
        return Level.BELOW_PRICE
    return Level.MOVED


def _alerts(move: MarketMove, own: Sequence[OwnOffer], here: Rates) -> Iterator[MarketAlert]:
    product = move.product
    for one in own:
        if product.model_class != one.model_class:
            continue
        theirs = _price(move, here)
        yield MarketAlert(
            id=new_id("malert_"),
            move=move,
            base=one.base,
            level=level_of(theirs, one),
            currency=CURRENCY,
            theirs=theirs,
            ours=one.price,
            floor=one.floor,
        )


def _price(move: MarketMove, here: Rates) -> Decimal | None:
    """Its price here; None where its currency has no rate, which the position's page says."""
    try:
        return here.blended(price_of(move, "{}_after"), move.currency)
    except InvalidInput:
        return None


def _told(alert: MarketAlert) -> RivalMoved:
    product = alert.move.product
    return RivalMoved(
        tenant_id=None,
        product_id=product.id,
        alert_id=alert.id,
        provider=product.provider,
        model=product.model,
        kind=alert.move.kind,
        base=alert.base,
        level=alert.level,
    )
