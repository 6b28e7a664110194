"""Reads of price books, contracts, and the rate card that follows from them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal

from django.db.models import QuerySet

from tenants.kernel.errors import InvalidInput, NotFound
from tenants.kernel.scope import required_scope
from tenants.pricing.cards import (
    CardPrice,
    RateCard,
    TermFacts,
    Terms,
    card_prices,
    fx_of,
    period_of,
)
from tenants.pricing.charge_models import UnitPrice, constant_unit
from tenants.pricing.drivers import program_run
from tenants.pricing.exact import quotient
from tenants.pricing.models import (
    Contract,
    FxRate,
    Price,
    PriceBook,
    PriceBookVersion,
    PriceProposal,
)
from tenants.pricing.terms_reading import terms_read


def price_books() -> QuerySet[PriceBook]:
    """The books that the scope may see: a tenant's own and those without a tenant."""
    required_scope()
    return PriceBook.objects.order_by("-is_list", "name")


def price_book_get(book_id: str) -> PriceBook:
    """Raises NotFound."""
    book: PriceBook | None = price_books().filter(pk=book_id).first()
    if book is None:
        raise NotFound(f"no price book {book_id!r}", param="price_book_id")
    return book


def price_version_get(version_id: str) -> PriceBookVersion:
    """Raises NotFound."""
    required_scope()
    version: PriceBookVersion | None = PriceBookVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise NotFound(f"no price version {version_id!r}", param="price_version_id")
    return version


def price_versions(book_id: str) -> QuerySet[PriceBookVersion]:
    """A book's versions, the latest first."""
    required_scope()
    return PriceBookVersion.objects.filter(book_id=book_id).order_by("-number")


def version_in_force(book: PriceBook, at: dt.datetime) -> PriceBookVersion:
    """What a book charges by at a moment. Raises InvalidInput where it has no prices yet."""
    required_scope()
    published = PriceBookVersion.objects.filter(
        book=book, published_at__isnull=False, valid_from__lte=at
    )
    version: PriceBookVersion | None = published.order_by("-valid_from").first()
    if version is None:
        raise InvalidInput(f"{book.id} has no prices in force", param="book_id")
    return version


def proposal_versions(proposal: PriceProposal) -> list[str]:
    """The versions that hold a proposal's price: the one that it became, and those that kept it
    when other prices were published before its end. None before its start.
    """
    if proposal.version is None:
        return []
    keeping = Price.objects.filter(
        version__book=proposal.book_id,
        version__valid_from__gte=proposal.version.valid_from,
        version__valid_from__lt=proposal.ended_at or proposal.ends,
        meter=proposal.meter,
        match=proposal.match,
        charge=proposal.charge,
    )
    return list(keeping.values_list("version_id", flat=True))


def version_rows(version: PriceBookVersion) -> QuerySet[Price]:
    """The prices of a version as they were drafted."""
    required_scope()
    return Price.objects.filter(version=version).order_by("id")


def version_prices(version: PriceBookVersion) -> list[CardPrice]:
    """The prices of a version, matrices laid out."""
    return [
        price
        for row in version_rows(version)
        for price in card_prices(row.meter, row.match, row.revenue, row.charge)
    ]


def unit_prices(version_ids: Iterable[str]) -> dict[tuple[str, str], UnitPrice]:
    """The prices of these versions of which each unit costs the same, by (version, price key)."""
    versions = PriceBookVersion.objects.filter(pk__in=set(version_ids)).select_related("book")
    return {
        (version.id, price.key): UnitPrice(unit, version.book.currency)
        for version in versions
        for price in version_prices(version)
        if (unit := constant_unit(price.model)) is not None
    }


def contracts_visible() -> QuerySet[Contract]:
    """The contracts of the tenant in scope (of all, for the system)."""
    rows: QuerySet[Contract] = Contract.objects.select_related("book", "pinned_version")
    return rows


def contract_in_force(tenant_id: str, at: dt.datetime) -> Contract | None:
    """A tenant's contract at a moment; None: it pays list prices, in advance."""
    rows = contracts_visible().filter(tenant_id=tenant_id, starts__lte=at)
    return rows.exclude(ends__lte=at).order_by("-starts").first()


def tenant_terms(
    tenant_ids: Sequence[str], periods: Sequence[dt.date]
) -> dict[tuple[str, dt.date], Terms]:
    """Each tenant's rate cards and contract terms in each month."""
    if not tenant_ids or not periods:
        return {}
    return program_run(terms_read(tenant_ids, periods), tenant_ids=set(tenant_ids))


def exchange_rate(base: str, quote: str, at: dt.datetime) -> Decimal:
    """How many `quote` one `base` is in the month of `at`, told either way round.

    Raises InvalidInput(code="fx_missing").
    """
    required_scope()
    pair = FxRate.objects.filter(base__in=[base, quote], quote__in=[base, quote])
    facts = TermFacts((), (), tuple(pair.values("base", "quote", "rate", "valid_from")))
    try:
        return fx_of(facts, base, quote, at)
    except InvalidInput:
        return quotient(Decimal(1), fx_of(facts, quote, base, at))


def rate_card(tenant_id: str, at: dt.datetime) -> RateCard:
    """What a tenant pays by at a moment. Raises NotFound where no price is in force."""
    period = period_of(at)
    return tenant_terms([tenant_id], [period])[tenant_id, period].at(at)
