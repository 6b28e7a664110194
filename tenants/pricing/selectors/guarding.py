"""Prices beside today's floors, and what allows those that lie below. Reads of the system."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from django.db.models import F, Q

from tenants.costs.daily import DAY, midnight
from tenants.costs.defaults import CURRENCY as COST_CURRENCY
from tenants.costs.unit_economics import assumptions_of, unit_economics
from tenants.kernel.clock import database_now
from tenants.pricing.cards import CardPrice
from tenants.pricing.floors import ClassFloor, FloorTerms, Takes, class_floors
from tenants.pricing.guard import EffectivePrice, effective_prices
from tenants.pricing.models import (
    FloorPolicy,
    LossBudget,
    PriceBookVersion,
    PriceOverride,
    PriceProposal,
)
from tenants.pricing.selectors.books import proposal_versions
from tenants.pricing.selectors.sales import Maker, SaleFacts, volumes_expected

ANY_METER = "*"  # of an override: every meter


@dataclass(frozen=True)
class Standing:
    """A price in force beside its floor. `permit` is the override or loss budget that allows it to
    lie below; empty: nothing does, or it does not.
    """

    price: EffectivePrice
    permit: str


def floor_terms() -> FloorTerms:
    """How floors are told now."""
    row = FloorPolicy.objects.order_by("-created_at", "-id").first()
    if row is None:
        return FloorTerms()
    return FloorTerms(
        basis=row.basis,
        planned_utilisation=row.planned_utilisation,
        takes=Takes(row.fees, row.share, row.margin),
        days=row.days,
        months=row.months,
    )


def floors_now(moment: dt.datetime, terms: FloorTerms | None = None) -> list[ClassFloor]:
    """The floors of what was worked and sold in the days up to `moment`, today included."""
    terms = terms or floor_terms()
    until = midnight(moment + DAY)
    since = until - terms.days * DAY
    given = assumptions_of(since, until, planned_utilisation=terms.planned_utilisation)
    return class_floors(unit_economics(since=since, until=until, given=given), terms)


class Guarded:
    """The prices of one book, one tenant or all, beside floors that stand still meanwhile.

    `ahead`: also those that are written for later. `strict`: a currency without a rate into that of
    costs is refused, else left out.
    """

    def __init__(
        self, *, book_id: str = "", tenant_id: str = "", ahead: bool, strict: bool
    ) -> None:
        self.terms, moment = floor_terms(), database_now()
        self.floors = floors_now(moment, self.terms)
        self._ahead, self._strict = ahead, strict
        self._volumes = volumes_expected(moment)
        self._of = {"book_id": book_id, "tenant_id": tenant_id}

    def standing(self) -> list[Standing]:
        """As they are now: read anew each time, but for what is expected to be bought."""
        if not self.floors:
            return []
        moment = database_now()
        facts = SaleFacts(moment, months=self.terms.months, volumes=self._volumes, **self._of)
        found = [
            price
            for sale in facts.sales(ahead=self._ahead, strict=self._strict)
            for price in effective_prices(sale, self.floors, currency=COST_CURRENCY)
        ]
        permits = Permits(moment, found)
        return [Standing(price, permits.of(price) if price.is_below else "") for price in found]


def prices_standing() -> list[Standing]:
    """Every token price in force beside its floor: of books, and of tenants whose prices are their
    own. A book in a currency without a rate into that of costs is left out, and logged.
    """
    return Guarded(ahead=False, strict=False).standing()


def quote_shortfalls(
    tenant_id: str, version_id: str, prices: Sequence[CardPrice], discount: Decimal
) -> list[EffectivePrice]:
    """Which of a version's `prices` a discount of a tenant's quote takes below their floors without
    a permit, what the tenant was given counted too (system scope).
    """
    moment, terms = database_now(), floor_terms()
    if not (floors := floors_now(moment, terms)):
        return []
    volumes = volumes_expected(moment)
    facts = SaleFacts(moment, months=terms.months, volumes=volumes, tenant_id=tenant_id)
    version = PriceBookVersion.objects.select_related("book").get(pk=version_id)
    held = facts.stretches(tenant_id, ahead=False)[0]
    maker = Maker(facts, replace(held, version=version), tenant_id)
    sale = replace(maker(), prices=prices, discount=discount)
    below = [p for p in effective_prices(sale, floors, currency=COST_CURRENCY) if p.is_below]
    permits = Permits(moment, below)
    return [price for price in below if not permits.of(price)]


class Permits:
    """The overrides, loss budgets and their proposals that are in force, read once."""

    def __init__(self, moment: dt.datetime, prices: Sequence[EffectivePrice]) -> None:
        self._moment = moment
        below = any(price.is_below for price in prices)
        open_now = PriceOverride.objects.filter(expires_at__gt=moment).order_by("-expires_at")
        self._overrides = list(open_now) if below else []
        self._budgets = budgets_open(moment) if below else []
        active = PriceProposal.objects.filter(
            loss_budget__in=self._budgets, state=PriceProposal.State.ACTIVE
        )
        self._named = {
            (version_id, proposal.price_key): proposal.loss_budget
            for proposal in active.select_related("loss_budget", "version")
            for version_id in proposal_versions(proposal)
        }

    def of(self, price: EffectivePrice) -> str:
        """The id of what allows a price that lies below its floor; empty: nothing does."""
        return self._override(price) or ("" if price.is_stopped else self._budget(price))

    def _override(self, price: EffectivePrice) -> str:
        at = max(self._moment, price.since or self._moment)
        for row in self._overrides:
            mine = row.book_id == price.book_id or (row.tenant_id or "-") == price.tenant_id
            if mine and row.meter in {price.meter, ANY_METER} and row.expires_at > at:
                return row.id
        return ""

    def _budget(self, price: EffectivePrice) -> str:
        """A proposal's covers its own price only, whose losses are counted with it."""
        at = max(self._moment, price.since or self._moment)
        named = self._named.get((price.version_id, price.price_key))
        own = [b for b in self._budgets if (b.tenant_id or "-") == price.tenant_id]
        for budget in (named, *own):
            if budget is not None and budget.expires_at > at:
                return budget.id
        return ""


def budgets_open(moment: dt.datetime) -> list[LossBudget]:
    """The loss budgets that still allow a loss."""
    rows = LossBudget.objects.filter(
        Q(volume_cap__isnull=True) | Q(volume__lt=F("volume_cap")),
        ended_at__isnull=True,
        starts__lte=moment,
        expires_at__gt=moment,
        spent__lt=F("amount"),
    )
    return list(rows.order_by("id"))
