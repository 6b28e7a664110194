"""A month's facts: what was counted, what was charged, and what a statement rates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connections
from django.db.models import Sum

from tenants.kernel.scope import required_scope
from tenants.pricing.counting import (
    COUNTED,
    counted_parameters,
    counted_totals,
    windows_of,
)
from tenants.pricing.exact import EXACT, ZERO
from tenants.pricing.models import ChargeLine, PeriodTotal
from tenants.pricing.rating import (
    ADJUSTMENT,
    QUOTE_CAP,
    WAIVER,
    Adjustment,
    KeyTotal,
    PeriodFacts,
    TaxFacts,
)
from tenants.pricing.selectors.books import tenant_terms


@dataclass(frozen=True)
class Uncharged:
    """`quantity` counted, less what was charged, of one price key and card."""

    tenant_id: str
    price_key: str
    version_id: str
    contract_id: str
    quantity: Decimal


def period_counted(tenant_ids: Sequence[str], period: dt.date) -> dict[str, list[KeyTotal]]:
    """By tenant, what usage counted in a month under each price key and rate card."""
    terms = tenant_terms(tenant_ids, [period])
    windows = windows_of(terms.values())
    with connections[required_scope().alias].cursor() as cursor:
        cursor.execute(COUNTED, counted_parameters(windows))
        return counted_totals(windows, cursor.fetchall())


def period_charged(tenant_ids: Sequence[str], period: dt.date) -> dict[str, list[KeyTotal]]:
    """By tenant, what a month has been charged for so far (`PeriodTotal`)."""
    rows = PeriodTotal.objects.filter(tenant_id__in=list(tenant_ids), period=period)
    found: dict[str, list[KeyTotal]] = {}
    for row in rows.order_by("tenant_id", "price_key", "version_id", "contract_id"):
        total = KeyTotal(row.price_key, row.version_id, row.contract_id, row.quantity)
        found.setdefault(row.tenant_id, []).append(total)
    return found


def uncharged(tenant_ids: Sequence[str], period: dt.date) -> list[Uncharged]:
    """Where what was counted differs from what was charged; below 0: charged and not counted."""
    counted, charged = period_counted(tenant_ids, period), period_charged(tenant_ids, period)
    sums: dict[tuple[str, str, str, str], Decimal] = {}
    for sign, totals in ((1, counted), (-1, charged)):
        for tenant_id, found in totals.items():
            for t in found:
                name = tenant_id, t.price_key, t.version_id, t.contract_id
                sums[name] = EXACT.add(sums.get(name, ZERO), sign * t.quantity)
    return [Uncharged(*name, quantity) for name, quantity in sorted(sums.items()) if quantity]


def period_adjustments(tenant_id: str, period: dt.date, currency: str) -> list[Adjustment]:
    """What quotes' caps and waivers took off a month, and what quotes were adjusted by."""
    kinds = [QUOTE_CAP, WAIVER, ADJUSTMENT]
    rows = ChargeLine.objects.filter(
        tenant_id=tenant_id, period=period, kind__in=kinds, currency=currency
    )
    sums = rows.order_by().values("kind", "revenue", "contract_id").annotate(total=Sum("net"))
    return [
        Adjustment(row["kind"], row["revenue"], row["contract_id"], row["total"]) for row in sums
    ]


def period_facts(
    tenant_id: str,
    period: dt.date,
    *,
    currency: str,
    residual: Decimal = ZERO,
    tax: TaxFacts | None = None,
    totals: Sequence[KeyTotal] | None = None,
) -> PeriodFacts:
    """All that `rate` needs for one tenant's month: of `totals`, else of what usage has counted."""
    if totals is None:
        totals = period_counted([tenant_id], period).get(tenant_id, [])
    return PeriodFacts(
        terms=tenant_terms([tenant_id], [period])[tenant_id, period],
        currency=currency,
        totals=tuple(totals),
        adjustments=tuple(period_adjustments(tenant_id, period, currency)),
        residual=residual,
        tax=tax or TaxFacts(),
    )
