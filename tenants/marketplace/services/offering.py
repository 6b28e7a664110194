"""What a published plugin puts on sale: its prices in every price book, its services in the
catalogue. System scope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tenants.accounts.actors import Actor
from tenants.kernel.clock import database_now
from tenants.kernel.errors import InvalidInput
from tenants.kernel.ids import new_id
from tenants.marketplace.models import Service
from tenants.partners.services import seller_claim
from tenants.pricing.defaults import AGREED
from tenants.pricing.exact import plain, round12
from tenants.pricing.models import Price, PriceBook
from tenants.pricing.selectors.books import (
    exchange_rate,
    price_books,
    price_versions,
    version_rows,
)
from tenants.pricing.services import price_version_draft, price_version_publish
from tenants.pricing.services.books import NewPrice

UNITS = "plugin.units"
REVENUE = "plugins"


def prices_offer(*, actor: Actor, plugin: str, asked: Sequence[Mapping[str, Any]]) -> None:
    """Publish a version of each book that prices the plugin's meters as its partner asks.

    A book in another currency takes the price at the operator's exchange rate. A book that has
    these prices already is left alone. Raises what `price_version_publish` raises: the guard, too.
    """
    if not asked:
        return
    for book in price_books():
        published = price_versions(book.id).filter(published_at__isnull=False)
        latest = published.order_by("-valid_from").first()
        if latest is None:
            continue
        rows = list(version_rows(latest))
        mine = [_price(book, plugin, price) for price in asked]
        kept = [row for row in rows if row.match.get("plugin") != plugin]
        before = {(row.meter, str(row.match), str(row.charge)) for row in rows}
        if {(p.meter, str(dict(p.match)), str(dict(p.charge))) for p in mine} <= before and len(
            rows
        ) == len(kept) + len(mine):
            continue
        _publish(actor, book, [*kept, *mine], f"prices of the plugin {plugin}")


def agreed_prices_ensure(*, actor: Actor) -> int:
    """Have every book sell a service for what its parties agree on, also one from before there were
    orders. Safe to repeat. Returns how many books had to be told.
    """
    told = 0
    for book in price_books():
        latest = price_versions(book.id).filter(published_at__isnull=False).first()
        rows = [] if latest is None else list(version_rows(latest))
        there = {(row.meter, row.match.get("sku")) for row in rows}
        if latest is None or (AGREED.meter, AGREED.match["sku"]) in there:
            continue
        agreed = NewPrice(AGREED.meter, AGREED.revenue, AGREED.charge, AGREED.match)
        _publish(actor, book, [*rows, agreed], "what the parties of an order agree on")
        told += 1
    return told


def services_offer(
    *, tenant_id: str, plugin: str, declared: Sequence[Mapping[str, Any]]
) -> list[Service]:
    """Put what a partner's plugin declares into the catalogue; what it declares no more goes."""
    names = {each["name"] for each in declared}
    gone = Service.objects.filter(partner_id=tenant_id, plugin=plugin, withdrawn_at__isnull=True)
    gone.exclude(name__in=names).update(withdrawn_at=database_now())
    return [_service(tenant_id, plugin, each) for each in declared]


def _publish(actor: Actor, book: PriceBook, prices: Sequence[Price | NewPrice], note: str) -> None:
    drafted = price_version_draft(
        actor=actor,
        book_id=book.id,
        prices=[NewPrice(p.meter, p.revenue, p.charge, p.match) for p in prices],
        note=note,
    )
    price_version_publish(actor=actor, version_id=drafted.id)


def _service(partner_id: str, plugin: str, declared: Mapping[str, Any]) -> Service:
    price = declared.get("price")
    fields = {
        "title": declared["title"],
        "description": declared["description"],
        "billing": declared["billing"],
        "price": None if price is None else Decimal(price),
        "currency": declared.get("currency") or "USD",
        "plugin": plugin,
    }
    known = Service.objects.filter(
        partner_id=partner_id, name=declared["name"], withdrawn_at__isnull=True
    ).first()
    if known is not None:
        Service.objects.filter(pk=known.pk).update(**fields)
        known.refresh_from_db()
        return known
    made: Service = Service.objects.create(
        id=new_id("svc_"), partner_id=partner_id, name=declared["name"], **fields
    )
    if not made.partner.is_platform:
        seller_claim(tenant_id=partner_id, name=f"service:{made.id}")
    return made


def _price(book: PriceBook, plugin: str, asked: Mapping[str, Any]) -> NewPrice:
    amount = Decimal(asked["amount"])
    if not amount.is_finite() or amount < 0:
        raise InvalidInput(f"the plugin asks {amount} for {asked['meter']}", param="prices")
    if asked["currency"] != book.currency:
        rate = exchange_rate(asked["currency"], book.currency, database_now())
        amount = amount * rate
    return NewPrice(
        UNITS,
        REVENUE,
        {"model": "standard", "unit": plain(round12(amount))},
        {"plugin": plugin, "sku": asked["meter"]},
    )
