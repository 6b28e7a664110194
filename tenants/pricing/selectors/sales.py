"""Who pays which prices, now and as far ahead as is written: what the price guard looks at.

The list's buyers are one; a tenant stands apart where its price is its own: by a contract with a
discount, a book, a pinned version, an allowance that no fee pays for or a cap, or by credit that it
was given. The welcome credit is the price of winning a customer and lowers no price of a token.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import structlog
from django.db.models import Exists, F, OuterRef, Q, Sum

from tenants.costs.defaults import CURRENCY as COST_CURRENCY
from tenants.kernel.errors import InvalidInput
from tenants.ledger.chart import GrantKind
from tenants.ledger.models import CreditGrant
from tenants.pricing.cards import CardPrice, card_prices, period_of
from tenants.pricing.charge_models import amount
from tenants.pricing.exact import EXACT, ZERO, quotient
from tenants.pricing.guard import Sale, inverse, kept_share
from tenants.pricing.models import (
    Contract,
    FxRate,
    PeriodTotal,
    Price,
    PriceBook,
    PriceBookVersion,
)

log = structlog.get_logger(__name__)

MONTH = dt.timedelta(days=30)
# sources of credit that are no concession: counted elsewhere, or given back
NOT_GIVEN = frozenset({"welcome", "contract"})
GIVEN_BACK = "credit_note:"

Volumes = Mapping[str, Decimal]


@dataclass(frozen=True)
class Stretch:
    """[since, …) under one contract (None: the list) and version."""

    since: dt.datetime
    contract: Contract | None
    version: PriceBookVersion

    @property
    def is_own(self) -> bool:
        """Whether the contract names prices, and not only how they are paid."""
        its = self.contract
        return its is not None and bool(its.discount or its.book_id or its.pinned_version_id)


class SaleFacts:
    """What bears on who pays what at `moment`, read once."""

    def __init__(
        self,
        moment: dt.datetime,
        *,
        months: int,
        volumes: Mapping[str, Volumes],
        book_id: str = "",
        tenant_id: str = "",
    ) -> None:
        self.moment, self.months, self.volumes = moment, months, volumes
        self.books = {book.id: book for book in PriceBook.objects.order_by("-is_list", "id")}
        self.versions = _versions(moment)
        self.contracts = _contracts(moment, tenant_id)
        self.given = _given(moment, months, tenant_id)
        self.only_book, self.only_tenant = book_id, tenant_id

    def sales(self, *, ahead: bool, strict: bool = True) -> list[Sale]:
        """Every sale now; with `ahead`, those that are written for later too.

        Raises InvalidInput(code="fx_missing") for a currency without a rate into that of costs;
        where not `strict`, such a sale is left out and logged.
        """
        found = []
        for make in (self._of_books, self._of_tenants):
            for sale in make(ahead=ahead):
                try:
                    found.append(sale())
                except InvalidInput as error:
                    if strict:
                        raise
                    log.warning("a price has no floor", reason=error.message)
        return found

    def _of_books(self, *, ahead: bool) -> Iterator[Maker]:
        if self.only_tenant:
            return
        for book in self.books.values():
            if self.only_book in {"", book.id}:
                for version in self._stretch(
                    self.versions.get(book.id, []), self.moment, ahead=ahead
                ):
                    yield Maker(self, Stretch(self._from(version), None, version), "")

    def _of_tenants(self, *, ahead: bool) -> Iterator[Maker]:
        for tenant_id in sorted(self.contracts.keys() | self.given.keys()):
            for stretch in self.stretches(tenant_id, ahead=ahead):
                if self.only_book in {"", stretch.version.book_id}:
                    maker = Maker(self, stretch, tenant_id)
                    if stretch.is_own or maker.gives:
                        yield maker

    def stretches(self, tenant_id: str, *, ahead: bool) -> list[Stretch]:
        """A tenant's terms from now on (only the first, unless `ahead`)."""
        found: list[Stretch] = []
        reached: dt.datetime | None = self.moment
        for contract in self.contracts.get(tenant_id, []):
            if reached is not None and reached < contract.starts:
                found += self._under(None, reached, contract.starts)
            found += self._under(contract, max(self.moment, contract.starts), contract.ends)
            reached = contract.ends
        if reached is not None:
            found += self._under(None, reached, None)
        return found if ahead else found[:1]

    def _under(
        self, contract: Contract | None, since: dt.datetime, until: dt.datetime | None
    ) -> list[Stretch]:
        if contract is not None and contract.pinned_version is not None:
            return [Stretch(since, contract, contract.pinned_version)]
        book_id = (contract.book_id if contract else None) or self.list_id
        return [
            Stretch(max(since, self._from(version)), contract, version)
            for version in self._stretch(self.versions.get(book_id, []), since, ahead=True)
            if until is None or self._from(version) < until
        ]

    @cached_property
    def list_id(self) -> str:
        return next((book.id for book in self.books.values() if book.is_list), "")

    @cached_property
    def prices(self) -> Mapping[str, list[CardPrice]]:
        """By version, of all that may be asked for."""
        wanted = {version.id for versions in self.versions.values() for version in versions}
        wanted |= {c.pinned_version_id or "" for cs in self.contracts.values() for c in cs}
        found: dict[str, list[CardPrice]] = {}
        for row in Price.objects.filter(version__in=wanted).order_by("id"):
            laid_out = card_prices(row.meter, row.match, row.revenue, row.charge)
            found.setdefault(row.version_id, []).extend(laid_out)
        return found

    @cached_property
    def mean_volumes(self) -> Volumes:
        """What a tenant that uses anything uses of each price key."""
        sums: dict[str, Decimal] = {}
        for volumes in self.volumes.values():
            for key, quantity in volumes.items():
                sums[key] = EXACT.add(sums.get(key, ZERO), quantity)
        return {key: quotient(total, Decimal(len(self.volumes))) for key, total in sums.items()}

    @cached_property
    def _rates(self) -> Mapping[str, Decimal]:
        return rates_now()

    def rate(self, currency: str) -> Decimal:
        """The newest rate into the currency of costs. Raises InvalidInput(code="fx_missing")."""
        if (rate := self._rates.get(currency)) is None:
            raise InvalidInput(
                f"no exchange rate between {currency} and {COST_CURRENCY}, the currency of costs; "
                "set one first",
                param="currency",
                code="fx_missing",
            )
        return rate

    def _from(self, version: PriceBookVersion) -> dt.datetime:
        return version.valid_from or self.moment

    def _stretch(
        self, versions: Sequence[PriceBookVersion], since: dt.datetime, *, ahead: bool
    ) -> list[PriceBookVersion]:
        """The version in force at `since`, and with `ahead` all later ones."""
        begun = [v for v in versions if self._from(v) <= since][-1:]
        return begun + ([v for v in versions if self._from(v) > since] if ahead else [])


@dataclass(frozen=True)
class Maker:
    """Makes the sale of one stretch, when its exchange rates are known."""

    facts: SaleFacts
    stretch: Stretch
    tenant_id: str

    def __call__(self) -> Sale:
        facts, contract = self.facts, self.stretch.contract
        book = self.stretch.version.book
        return Sale(
            book_id=book.id,
            prices=self._prices,
            tenant_id=self.tenant_id,
            discount=contract.discount if contract else ZERO,
            kept=self._kept() if self.tenant_id else Decimal(1),
            fx_rate=facts.rate(book.currency),
            volumes=self._volumes,
            since=self.stretch.since,
            version_id=self.stretch.version.id,
        )

    @property
    def gives(self) -> bool:
        """Whether credit or a cap makes the tenant's price its own."""
        contract = self.stretch.contract
        return bool(
            self.facts.given.get(self.tenant_id)
            or (contract and (contract.allowance > contract.plan_fee or contract.cap is not None))
        )

    @property
    def _prices(self) -> list[CardPrice]:
        return self.facts.prices.get(self.stretch.version.id, [])

    @property
    def _volumes(self) -> Volumes:
        return self.facts.volumes.get(self.tenant_id) or self.facts.mean_volumes

    def _kept(self) -> Decimal:
        facts, contract = self.facts, self.stretch.contract
        if not self.gives:
            return Decimal(1)
        given = sum(
            (
                EXACT.multiply(quotient(total, Decimal(facts.months)), facts.rate(currency))
                for currency, total in facts.given.get(self.tenant_id, {}).items()
            ),
            ZERO,
        )
        cap = None
        if contract is not None:
            into = facts.rate(contract.currency)
            given += EXACT.multiply(max(ZERO, contract.allowance - contract.plan_fee), into)
            cap = None if contract.cap is None else EXACT.multiply(contract.cap, into)
        return kept_share(self._rated(), given=given, cap=cap)

    def _rated(self) -> Decimal:
        """What the month that is expected comes to, net of discount, in the currency of costs."""
        contract = self.stretch.contract
        left = Decimal(1) - (contract.discount if contract else ZERO)
        whole = sum(
            (amount(price.model, self._volumes.get(price.key, ZERO)) for price in self._prices),
            ZERO,
        )
        rate = self.facts.rate(self.stretch.version.book.currency)
        return EXACT.multiply(EXACT.multiply(whole, left), rate)


def rates_now() -> dict[str, Decimal]:
    """By currency, the newest rate into that of costs, told either way round."""
    pairs = Q(base=COST_CURRENCY) | Q(quote=COST_CURRENCY)
    rows = list(FxRate.objects.filter(pairs).order_by("valid_from"))
    back = {row.quote: inverse(row.rate) for row in rows if row.base == COST_CURRENCY}
    into = {row.base: row.rate for row in rows if row.quote == COST_CURRENCY}
    return {COST_CURRENCY: Decimal(1)} | back | into


def volumes_expected(moment: dt.datetime) -> dict[str, Volumes]:
    """By tenant, what its fuller month of this and the last counted under each price key."""
    first = period_of(moment)
    periods = [first, (first - dt.timedelta(days=1)).replace(day=1)]
    rows = PeriodTotal.objects.filter(period__in=periods).order_by()
    found: dict[str, dict[str, Decimal]] = {}
    sums = rows.values_list("tenant_id", "period", "price_key").annotate(total=Sum("quantity"))
    for tenant, _, key, total in sums:
        mine = found.setdefault(tenant, {})
        mine[key] = max(mine.get(key, ZERO), total)
    return dict(found)


def _versions(moment: dt.datetime) -> dict[str, list[PriceBookVersion]]:
    """By book, the published versions that hold now or later, in order of time."""
    published = PriceBookVersion.objects.filter(published_at__isnull=False)
    later = published.filter(
        book=OuterRef("book"), valid_from__gt=OuterRef("valid_from"), valid_from__lte=moment
    )
    rows = published.filter(~Exists(later)).select_related("book")
    found: dict[str, list[PriceBookVersion]] = {}
    for version in rows.order_by(F("valid_from")):
        found.setdefault(version.book_id, []).append(version)
    return found


def _contracts(moment: dt.datetime, tenant_id: str) -> dict[str, list[Contract]]:
    rows = Contract.objects.exclude(ends__lte=moment).exclude(ends__lte=F("starts"))
    rows = rows.filter(tenant_id=tenant_id) if tenant_id else rows
    found: dict[str, list[Contract]] = {}
    for contract in rows.select_related("pinned_version__book").order_by("starts"):
        found.setdefault(contract.tenant_id, []).append(contract)
    return found


def _given(moment: dt.datetime, months: int, tenant_id: str) -> dict[str, dict[str, Decimal]]:
    """By tenant and currency, the credit that was given for nothing in the last `months`."""
    rows = CreditGrant.objects.filter(
        kind__in=[GrantKind.PROMOTION, GrantKind.ALLOWANCE], created_at__gt=moment - months * MONTH
    ).exclude(Q(source__in=NOT_GIVEN) | Q(source__startswith=GIVEN_BACK))
    rows = rows.filter(tenant_id=tenant_id) if tenant_id else rows
    found: dict[str, dict[str, Decimal]] = {}
    sums: Iterable[tuple[str, str, Decimal]] = (
        rows.order_by().values_list("tenant_id", "wallet__currency").annotate(total=Sum("amount"))
    )
    for tenant, currency, total in sums:
        found.setdefault(tenant, {})[currency] = total
    return found
