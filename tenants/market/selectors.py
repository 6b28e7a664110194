"""Reads of the market (system scope): the history as it is known, products, alerts, imports."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from django.db.models import Max, QuerySet

from tenants.kernel.clock import now
from tenants.kernel.errors import NotFound
from tenants.kernel.scope import required_scope
from tenants.market.importing.moves_csv import shipped_moves
from tenants.market.models import (
    AlertDelivery,
    MarketAlert,
    MarketImport,
    MarketMove,
    MarketOffer,
    MarketProduct,
)
from tenants.market.moves import History, month_number
from tenants.market.permissions import system_only
from tenants.market.records import move_of
from tenants.market.rivals.exposure import exposures

UNCLASSED = ""


def market_history() -> History:
    """Every move of a product with a class, up to what the last file says; the shipped history
    until a first file is read.
    """
    system_only()
    rows = MarketMove.objects.exclude(product__model_class=UNCLASSED).select_related("product")
    found = [move_of(row) for row in rows]
    if not found:
        return History.of(shipped_moves())
    return History.of(found, max([observed_until(), *(move.date for move in found)]))


def observed_until() -> dt.date:
    """The last day of which any file says something; today where none was read."""
    last: dt.date | None = MarketImport.objects.aggregate(last=Max("observed_on"))["last"]
    return last or now().date()


def products() -> QuerySet[MarketProduct]:
    required_scope()
    return MarketProduct.objects.order_by("model_class", "provider", "model")


def products_on_sale(classes: Collection[str]) -> list[MarketProduct]:
    """Those of these classes that no later one of the same provider has replaced (`exposure`)."""
    rows = list(products().filter(model_class__in=classes))
    history = market_history()
    last = month_number(history.end)
    gone = {e.product for e in exposures(history) if e.last < last}
    return [row for row in rows if (row.provider, row.model) not in gone]


def product_get(product_id: str) -> MarketProduct:
    """Raises NotFound."""
    found: MarketProduct | None = products().filter(pk=product_id).first()
    if found is None:
        raise NotFound(f"no product {product_id!r} of a rival", param="product_id")
    return found


def moves() -> QuerySet[MarketMove]:
    """The latest first."""
    required_scope()
    return MarketMove.objects.select_related("product").order_by("-date", "-id")


def offers() -> QuerySet[MarketOffer]:
    required_scope()
    return MarketOffer.objects.order_by("model_class", "base")


def alerts() -> QuerySet[MarketAlert]:
    """The latest first."""
    required_scope()
    rows = MarketAlert.objects.select_related("move__product", "delivery")
    return rows.order_by("-created_at", "-id")


def deliveries_dead() -> QuerySet[AlertDelivery]:
    """Alerts that the webhook's receiver did not take, and that were given up."""
    return AlertDelivery.objects.filter(state=AlertDelivery.State.DEAD)


def imports() -> QuerySet[MarketImport]:
    required_scope()
    return MarketImport.objects.order_by("-created_at", "-id")
