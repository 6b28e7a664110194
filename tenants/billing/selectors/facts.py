"""What a month comes to now, what was charged for it, and what statements have said of it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal

from django.conf import settings
from django.db.models import Sum as SumOf

from tenants.accounts.models import Tenant
from tenants.billing.models import Statement
from tenants.billing.periods import Period
from tenants.billing.settlement import Settled
from tenants.billing.states import StatementState
from tenants.billing.stating import (
    LineKey,
    Stated,
    Sum,
    charged_key,
    stated_from_json,
    stated_of,
)
from tenants.pricing.cards import Terms
from tenants.pricing.models import ChargeLine
from tenants.pricing.rating import PeriodFacts, rate
from tenants.pricing.selectors import period_facts
from tenants.usage.models import UsageHour

ZERO = Decimal(0)


def facts_now(
    tenant_id: str, period: Period, *, currency: str, residual: Decimal = ZERO
) -> PeriodFacts:
    """The facts of a month from all usage counted so far, tax apart.

    Where the tenant closed in mid-month, its contracts end there.
    """
    facts = period_facts(tenant_id, period.month, currency=currency, residual=residual)
    closed = closed_at(tenant_id, currency)
    if closed is None:
        return facts
    return dataclasses.replace(facts, terms=terms_until(facts.terms, closed))


def closed_at(tenant_id: str, currency: str) -> dt.datetime | None:
    """When the tenant closed: a statement of its that ended before its month did."""
    rows = Statement.objects.filter(
        tenant_id=tenant_id, currency=currency, closed_at__isnull=False
    ).values_list("period", "closed_at")
    return min((closed for month, closed in rows if closed < Period(month).end), default=None)


def terms_until(terms: Terms, moment: dt.datetime) -> Terms:
    """The same terms, with contracts that end at `moment` at the latest."""
    contracts = [
        dataclasses.replace(contract, ends=min(contract.ends or moment, moment))
        for contract in terms.contracts
        if contract.starts < moment
    ]
    return dataclasses.replace(terms, contracts=tuple(contracts))


def months_before(tenant_id: str, period: Period) -> list[Period]:
    """The earlier months on which usage may still have come late, in order."""
    created = Tenant.objects.values_list("created_at", flat=True).get(pk=tenant_id)
    first = min(Period.of(created), *_first_known(tenant_id), period)
    found: list[Period] = []
    month = period
    while month > first and len(found) < settings.STATEMENT_LATE_MONTHS:
        month = month.previous()
        found.insert(0, month)
    return found


def stated_now(tenant_id: str, period: Period, currency: str) -> Stated:
    """What an earlier month's lines come to now."""
    return stated_of(rate(facts_now(tenant_id, period, currency=currency)))


def charged_so_far(tenant_id: str, period: Period, currency: str) -> dict[LineKey, Sum]:
    """What a month was charged for, by what the lines are for."""
    rows = ChargeLine.objects.filter(
        tenant_id=tenant_id, period=period.month, currency=currency
    ).order_by()
    names = ("kind", "revenue", "price_key", "version_id", "contract_id")
    found: dict[LineKey, Sum] = {}
    for row in rows.values(*names).annotate(quantities=SumOf("quantity"), nets=SumOf("net")):
        key = charged_key(LineKey(**{name: row[name] for name in names}))
        found[key] = found.get(key, Sum()) + Sum(row["quantities"], row["nets"])
    return found


@dataclasses.dataclass(frozen=True)
class Before:
    """What the statements before one have said: lines and settlement by month, and the residual."""

    stated: dict[dt.date, dict[LineKey, Sum]]
    settled: dict[dt.date, Settled]
    residual: Decimal


def stated_before(tenant_id: str, period: Period, currency: str) -> Before:
    """What the last final statement before `period` leaves to build upon."""
    rows = Statement.objects.filter(
        tenant_id=tenant_id,
        currency=currency,
        period__lt=period.month,
        state=StatementState.FINAL,
    )
    last: Statement | None = rows.order_by("-period").first()
    if last is None:
        return Before({}, {}, ZERO)
    settled = last.charged.get("settled", {})
    return Before(
        stated=stated_from_json(last.charged.get("lines", {})),
        settled={
            dt.date.fromisoformat(month): Settled.from_json(data) for month, data in settled.items()
        },
        residual=last.residual_out,
    )


def _first_known(tenant_id: str) -> list[Period]:
    """The first months that were charged, and counted; usage may come for one never charged."""
    charged = ChargeLine.objects.filter(tenant_id=tenant_id).order_by("period").first()
    counted = UsageHour.objects.filter(tenant_id=tenant_id).order_by("hour").first()
    found = [Period(charged.period)] if charged else []
    return [*found, Period.of(counted.hour)] if counted else found
