"""Which months still need a statement. System scope."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from tenants.accounts.models import Tenant
from tenants.billing.models import Statement
from tenants.billing.periods import Period
from tenants.pricing.models import Charge, ChargeLine, Contract
from tenants.pricing.selectors import tenant_terms
from tenants.usage.models import UsageHour
from tenants.usage.selectors import usage_late

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, order=True)
class Opening:
    """A tenant's month in one currency."""

    period: Period
    tenant_id: str
    currency: str


def statements_missing(*, at: dt.datetime, tenant_id: str = "") -> list[Opening]:
    """Months, this and the last, in which something was charged, counted or contracted, and those
    in which something was charged, or came, for an earlier one. The platform bills itself nothing.
    """
    wanted: set[Opening] = set()
    now = Period.of(at)
    for period in (now.previous(), now):
        wanted |= _charged(period, tenant_id) | _terms(period, tenant_id) | _late(period, tenant_id)
    wanted |= {
        Opening(now, owner, currency)
        for owner, currency in _own(Charge.objects.filter(created_at__gte=now.start), tenant_id)
        .values_list("tenant_id", "currency")
        .distinct()
    }
    known = set(
        Statement.objects.filter(period__gte=now.previous().month).values_list(
            "period", "tenant_id", "currency"
        )
    )
    platform = set(Tenant.objects.filter(is_platform=True).values_list("id", flat=True))
    return sorted(
        opening
        for opening in wanted
        if (opening.period.month, opening.tenant_id, opening.currency) not in known
        and opening.tenant_id not in platform
    )


def _charged(period: Period, tenant_id: str) -> set[Opening]:
    rows = _own(ChargeLine.objects.filter(period=period.month), tenant_id).order_by()
    return {
        Opening(period, owner, currency)
        for owner, currency in rows.values_list("tenant_id", "currency").distinct()
    }


def _terms(period: Period, tenant_id: str) -> set[Opening]:
    """Of contracts in force, and of usage that no charge has met yet, in its card's currency."""
    contracts = _own(
        Contract.objects.filter(starts__lt=period.end).filter(
            Q(ends__isnull=True) | Q(ends__gt=period.start)
        ),
        tenant_id,
    )
    if not tenant_id:
        contracts = contracts.exclude(tenant__status=Tenant.Status.CLOSED)
    found = {
        Opening(period, owner, currency)
        for owner, currency in contracts.values_list("tenant_id", "currency").distinct()
    }
    counted = _own(
        UsageHour.objects.filter(hour__gte=period.start, hour__lt=period.end), tenant_id
    ).order_by()
    counting = sorted(set(counted.values_list("tenant_id", flat=True).distinct()))
    for (owner, _), terms in tenant_terms(counting, [period.month]).items():
        found |= {Opening(period, owner, card.currency) for card in terms.cards}
    return found


def _late(period: Period, tenant_id: str) -> set[Opening]:
    """Of usage that came in `period` for an earlier month, in that month's currency: who uses
    nothing else any more owes it all the same.
    """
    came = {
        (owner, month)
        for owner, month in usage_late(period.start, period.end)
        if tenant_id in {"", owner}
    }
    if not came:
        return set()
    owners, months = sorted({owner for owner, _ in came}), sorted({month for _, month in came})
    return {
        Opening(period, owner, card.currency)
        for (owner, month), terms in tenant_terms(owners, months).items()
        if (owner, month) in came
        for card in terms.cards
    }


def _own(rows: QuerySet[M], tenant_id: str) -> QuerySet[M]:
    return rows.filter(tenant_id=tenant_id) if tenant_id else rows
