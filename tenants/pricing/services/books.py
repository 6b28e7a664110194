"""Price books: drafting and publishing versions, exchange rates. By operators only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import IntegrityError
from django.db.models import Max

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.accounts.models import Tenant
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from tenants.kernel.scope import atomic
from tenants.ledger.chart import RevenueLine
from tenants.pricing.cards import card_prices
from tenants.pricing.charge_json import model_from_json, model_to_json
from tenants.pricing.currencies import currency_check
from tenants.pricing.defaults import CURRENCY, FIRST_VERSION, LIST_BOOK, PRICES, SINCE
from tenants.pricing.events import FxRateSet, PriceChanged
from tenants.pricing.locks import book_locked, version_locked
from tenants.pricing.matching import coverage_check, match_check
from tenants.pricing.models import FxRate, Price, PriceBook, PriceBookVersion
from tenants.pricing.permissions import operators_only, system_only
from tenants.pricing.price_writes import price_guard, prices_lock
from tenants.pricing.selectors.books import version_prices


@dataclass(frozen=True)
class NewPrice:
    """A price to be drafted: `charge` is a charge model's JSON, `match` the counts it is for."""

    meter: str
    revenue: str
    charge: Mapping[str, Any]
    match: Mapping[str, str] = field(default_factory=dict)


def price_book_create(
    *, actor: Actor, name: str, currency: str = CURRENCY, tenant_id: str = ""
) -> PriceBook:
    """Make a book without versions: for one tenant, or (without `tenant_id`) for any contract.

    Raises PermissionDenied, InvalidInput, NotFound.
    """
    operators_only(actor)
    if not 1 <= len(name.strip()) <= 120:
        raise InvalidInput("a book's name has 1 to 120 characters", param="name")
    currency_check(currency)
    if tenant_id and not Tenant.objects.filter(pk=tenant_id).exists():
        raise NotFound(f"no tenant {tenant_id!r}", param="tenant_id")
    book = PriceBook.objects.create(
        id=new_id("book_"), tenant_id=tenant_id or None, name=name.strip(), currency=currency
    )
    audit_record(
        actor=actor, action="price_book.create", target=book.id, data={"tenant_id": tenant_id}
    )
    return book


def price_version_draft(
    *, actor: Actor, book_id: str, prices: Sequence[NewPrice], note: str = ""
) -> PriceBookVersion:
    """Write down a version that holds nowhere yet.

    Raises PermissionDenied, NotFound, InvalidInput for a charge, meter, match or revenue line that
    does not exist. What the version lacks as a whole is checked when it is published.
    """
    operators_only(actor)
    prices_lock()  # before the book: who drafts and publishes in one go takes them in this order
    book = book_locked(book_id)
    version = PriceBookVersion(
        id=new_id("bookv_"),
        tenant_id=book.tenant_id,
        book=book,
        number=_next_number(book),
        note=note[:200],
    )
    rows = [_price(version, price) for price in prices]
    version.save()
    Price.objects.bulk_create(rows)
    audit_record(
        actor=actor,
        action="price_version.draft",
        target=version.id,
        data={"book_id": book.id, "prices": len(rows)},
    )
    return version


def price_version_publish(
    *,
    actor: Actor,
    version_id: str,
    valid_from: dt.datetime | None = None,
    currency: str | None = None,
) -> PriceBookVersion:
    """Let a version hold from `valid_from` (default: now) on; it never changes again.

    `currency`, where given, must be the book's. Raises PermissionDenied, NotFound, Conflict for
    one that is published, InvalidInput for a start in the past or before the last version's, a
    meter without a price (`price_gap`), two equally specific ones (`price_overlap`), another
    currency (`currency_mismatch`), a price that it brings below its floor without an override
    (`price_below_floor`), be it through a contract's discount or a tenant's credit.
    """
    operators_only(actor)
    prices_lock()
    version = version_locked(version_id)
    if version.published_at is not None:
        raise Conflict(f"{version_id} is already published", param="version_id")
    if currency is not None and currency != version.book.currency:
        raise InvalidInput(
            f"the book is in {version.book.currency}, not {currency}",
            param="currency",
            code="currency_mismatch",
        )
    with price_guard(book_id=version.book_id):
        version_put_in_force(actor=actor, version=version, valid_from=valid_from)
    return version


def version_put_in_force(
    *,
    actor: Actor,
    version: PriceBookVersion,
    valid_from: dt.datetime | None = None,
    between: bool = False,
) -> None:
    """Publish a version of a locked book, past no guard: callers stand inside `price_guard`, or
    give back a price that held before. `between`: it may start before one that is written for
    later. Raises InvalidInput.
    """
    moment = database_now()
    starts = valid_from or moment
    _check_start(version, starts, moment, between=between)
    coverage_check([(price.meter, price.match) for price in version_prices(version)])
    version.valid_from, version.published_at = starts, moment
    version.save(update_fields=["valid_from", "published_at"])
    audit_record(
        actor=actor,
        action="price_version.publish",
        target=version.id,
        data={"book_id": version.book_id, "valid_from": starts.isoformat()},
    )
    emit(
        PriceChanged(
            tenant_id=version.tenant_id,
            book_id=version.book_id,
            version_id=version.id,
            number=version.number,
            valid_from=starts,
        )
    )


def fx_rate_set(
    *,
    actor: Actor,
    base: str,
    quote: str,
    rate: Decimal,
    valid_from: dt.datetime | None = None,
) -> FxRate:
    """One `base` is `rate` `quote`, for the months that begin at `valid_from` (now) or later.

    The first rate of a pair also serves the month under way. Raises PermissionDenied, InvalidInput,
    Conflict.
    """
    operators_only(actor)
    currency_check(base, "base")
    currency_check(quote, "quote")
    if base == quote:
        raise InvalidInput("an exchange rate is between two currencies", param="quote")
    if not isinstance(rate, Decimal) or not rate.is_finite() or not 0 < rate < 10**12:
        raise InvalidInput("a rate is a finite Decimal above 0", param="rate")
    if rate != round(rate, 12):
        raise InvalidInput("a rate has at most 12 decimals", param="rate")
    moment = database_now()
    starts = valid_from or moment
    if starts.tzinfo is None or starts < moment:
        raise InvalidInput("a rate starts now or later", param="valid_from")
    try:
        with atomic():
            row = FxRate.objects.create(base=base, quote=quote, rate=rate, valid_from=starts)
    except IntegrityError as error:
        raise Conflict(
            f"{base}/{quote} already has a rate from then", param="valid_from"
        ) from error
    pair = f"{base}/{quote}"
    data = {"rate": str(rate), "valid_from": starts.isoformat()}
    audit_record(actor=actor, action="fx_rate.set", target=pair, data=data)
    emit(FxRateSet(tenant_id=None, pair=pair, rate=str(rate), valid_from=starts))
    return row


def price_books_ensure() -> PriceBook:
    """Have the list book with its first prices (system scope)."""
    system_only()
    book, _ = PriceBook.objects.get_or_create(
        id=LIST_BOOK, defaults={"name": "List", "currency": CURRENCY, "is_list": True}
    )
    version, made = PriceBookVersion.objects.get_or_create(
        id=FIRST_VERSION,
        defaults={
            "book": book,
            "number": 1,
            "valid_from": SINCE,
            "published_at": SINCE,
            "note": "first prices",
        },
    )
    if made:
        Price.objects.bulk_create(
            _price(version, NewPrice(p.meter, p.revenue, p.charge, p.match)) for p in PRICES
        )
    return book


def _price(version: PriceBookVersion, price: NewPrice) -> Price:
    if price.revenue not in RevenueLine.values:
        raise InvalidInput(
            f"revenue is one of {', '.join(RevenueLine.values)}, not {price.revenue!r}",
            param="revenue",
        )
    model = model_from_json(price.charge)
    charge = model_to_json(model)
    for laid_out in card_prices(price.meter, price.match, price.revenue, charge):
        match_check(laid_out.meter, laid_out.match)
    return Price(
        tenant_id=version.tenant_id,
        version=version,
        meter=price.meter,
        match=dict(price.match),
        revenue=price.revenue,
        charge=charge,
    )


def _next_number(book: PriceBook) -> int:
    last = PriceBookVersion.objects.filter(book=book).aggregate(last=Max("number"))["last"]
    return int(last or 0) + 1


def _check_start(
    version: PriceBookVersion, starts: dt.datetime, moment: dt.datetime, *, between: bool
) -> None:
    if starts.tzinfo is None or starts < moment:
        raise InvalidInput(
            "a version starts now or later: the past keeps its price", param="valid_from"
        )
    published = PriceBookVersion.objects.filter(book_id=version.book_id, published_at__isnull=False)
    published = published.filter(valid_from__lte=starts) if between else published
    latest = published.aggregate(latest=Max("valid_from"))["latest"]
    if latest is not None and starts <= latest:
        raise InvalidInput(
            f"a version already starts at {latest.isoformat()}; start this one after it",
            param="valid_from",
            code="price_overlap",
        )
