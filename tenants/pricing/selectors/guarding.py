"""What the price guard compares: prices as they would hold, costs as they were measured."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q

from tenants.costs.defaults import CURRENCY as COST_CURRENCY
from tenants.costs.selectors import unit_costs
from tenants.kernel.clock import database_now
from tenants.pricing.cards import CardPrice, period_of
from tenants.pricing.guard import MeasuredCost, Shortfall, inverse, shortfalls
from tenants.pricing.models import Contract, FxRate, PriceBook, PriceBookVersion, PriceOverride
from tenants.pricing.selectors.books import tenant_terms, version_prices

LATELY = dt.timedelta(days=30)


@dataclass(frozen=True)
class BelowCost:
    """A price in force below cost, whose it is, and the override that allows it, if any."""

    book_id: str
    tenant_id: str
    shortfall: Shortfall
    allowed_until: dt.datetime | None


def measured_costs(moment: dt.datetime) -> list[MeasuredCost]:
    """What a million tokens cost in the last 30 days, by kind of work and base (system scope)."""
    return [
        MeasuredCost(kind, base, cost.per_million.amount)
        for kind, base, cost in unit_costs(since=moment - LATELY, until=moment)
        if cost.per_million is not None
    ]


def book_shortfalls(
    book: PriceBook, prices: Sequence[CardPrice], moment: dt.datetime
) -> list[Shortfall]:
    """Prices of a book below cost that no override allows."""
    found = shortfalls(
        prices,
        measured_costs(moment),
        fx_rate=_to_cost_currency(book.currency),
        currency=COST_CURRENCY,
    )
    allowed = _allowed(moment, Q(book=book))
    return [shortfall for shortfall in found if shortfall.meter not in allowed]


def contract_shortfalls(contract: Contract, moment: dt.datetime) -> list[Shortfall]:
    """Prices below cost that a contract would make, and no override allows.

    One that follows the list without a discount makes no price of its own.
    """
    if not (contract.discount or contract.book_id or contract.pinned_version_id):
        return []
    version = contract.pinned_version or _version_at(contract.book, contract.starts)
    found = shortfalls(
        version_prices(version),
        measured_costs(moment),
        discount=contract.discount,
        fx_rate=_to_cost_currency(version.book.currency),
        currency=COST_CURRENCY,
    )
    allowed = _allowed(moment, Q(tenant_id=contract.tenant_id) | Q(book_id=version.book_id))
    return [shortfall for shortfall in found if shortfall.meter not in allowed]


def quote_shortfalls(
    tenant_id: str, version_id: str, prices: Sequence[CardPrice], discount: Decimal
) -> list[Shortfall]:
    """Prices that a discount of a tenant's quote takes below cost, and no override allows (system
    scope).
    """
    moment = database_now()
    book = PriceBookVersion.objects.select_related("book").get(pk=version_id).book
    found = shortfalls(
        prices,
        measured_costs(moment),
        discount=discount,
        fx_rate=_to_cost_currency(book.currency),
        currency=COST_CURRENCY,
    )
    allowed = _allowed(moment, Q(tenant_id=tenant_id) | Q(book=book))
    return [shortfall for shortfall in found if shortfall.meter not in allowed]


def prices_below_cost() -> list[BelowCost]:
    """Every price in force that lies below its measured cost: of books, and of contracts that make
    prices of their own (system scope). For the operator's page and the periodic sweep.
    """
    moment = database_now()
    costs = measured_costs(moment)
    found: list[BelowCost] = []
    for book in PriceBook.objects.order_by("-is_list", "id"):
        version = _latest(book.id, moment)
        if version is not None:
            rate = _to_cost_currency(book.currency)
            below = shortfalls(version_prices(version), costs, fx_rate=rate, currency=COST_CURRENCY)
            found += _told(below, moment, Q(book=book), book_id=book.id)
    own = ~Q(discount=0) | Q(book__isnull=False) | Q(pinned_version__isnull=False)
    in_force = Contract.objects.filter(own, starts__lte=moment).exclude(ends__lte=moment)
    for contract in in_force.order_by("tenant_id", "starts"):
        period = period_of(moment)
        card = tenant_terms([contract.tenant_id], [period])[contract.tenant_id, period].at(moment)
        book_id = contract.book_id or _list_id()
        below = shortfalls(
            card.prices.prices,
            costs,
            discount=card.discount,
            fx_rate=_to_cost_currency(PriceBook.objects.get(pk=book_id).currency),
            currency=COST_CURRENCY,
        )
        chosen = Q(tenant_id=contract.tenant_id) | Q(book_id=book_id)
        found += _told(below, moment, chosen, book_id=book_id, tenant_id=contract.tenant_id)
    return found


def _told(
    below: Sequence[Shortfall],
    moment: dt.datetime,
    chosen: Q,
    *,
    book_id: str,
    tenant_id: str = "",
) -> list[BelowCost]:
    allowed = _allowed(moment, chosen)
    return [
        BelowCost(book_id, tenant_id, shortfall, allowed.get(shortfall.meter))
        for shortfall in below
    ]


def _allowed(moment: dt.datetime, chosen: Q) -> dict[str, dt.datetime]:
    """Meters with an override in force, and until when."""
    rows = PriceOverride.objects.filter(chosen, expires_at__gt=moment).order_by("expires_at")
    return dict(rows.values_list("meter", "expires_at"))


def _to_cost_currency(currency: str) -> Decimal:
    """The latest rate into the currency of costs; 1 where none is known."""
    if currency == COST_CURRENCY:
        return Decimal(1)
    forth = FxRate.objects.filter(base=currency, quote=COST_CURRENCY).order_by("-valid_from")
    if (rate := forth.values_list("rate", flat=True).first()) is not None:
        return Decimal(rate)
    back = FxRate.objects.filter(base=COST_CURRENCY, quote=currency).order_by("-valid_from")
    if (rate := back.values_list("rate", flat=True).first()) is not None:
        return inverse(Decimal(rate))
    return Decimal(1)


def _version_at(book: PriceBook | None, at: dt.datetime) -> PriceBookVersion:
    version = _latest(book.id if book else _list_id(), at)
    if version is None:
        raise PriceBookVersion.DoesNotExist("no version is in force")
    return version


def _latest(book_id: str, at: dt.datetime) -> PriceBookVersion | None:
    published = PriceBookVersion.objects.filter(
        book_id=book_id, published_at__isnull=False, valid_from__lte=at
    )
    return published.select_related("book").order_by("-valid_from").first()


def _list_id() -> str:
    return PriceBook.objects.values_list("id", flat=True).get(is_list=True)
