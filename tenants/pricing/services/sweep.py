"""The sweep: charges what was counted and not charged at once.

Jobs and the gateway charge in the transaction that records their usage. What others count
(storage, deployments, events from outside) is charged here: the difference between a month's usage
and what it has been charged for. Both are read under the wallet's lock, so running twice, or at
once, charges once. Only the month under way is swept; what comes later for an earlier one is
billing's.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import structlog
from django.db import connections

from tenants.accounts.models import Tenant
from tenants.kernel.clock import database_now
from tenants.kernel.errors import BreakwaterError
from tenants.kernel.ids import new_id
from tenants.kernel.scope import required_scope, system_scope
from tenants.pricing.cards import RateCard, Terms, month_bounds, period_of
from tenants.pricing.charge_statements import LOCK
from tenants.pricing.charging import ChargeItem, ChargeRequest
from tenants.pricing.exact import EXACT
from tenants.pricing.selectors.books import tenant_terms
from tenants.pricing.selectors.periods import Uncharged, uncharged
from tenants.pricing.services.charges import usage_charge

log = structlog.get_logger(__name__)

SYNCHRONOUS = ("gateway", "jobs")  # sources that charge as they record
BATCH = 500  # tenants looked at in one statement

# What a key's other sources have counted by day and caller, less what sweeps have charged: where an
# uncharged quantity belongs.
PARTS = """
    WITH counted AS (
        SELECT date_trunc('day', hour, 'UTC') AS day, meter,
            coalesce(dimensions ->> 'model', '') AS model,
            coalesce(dimensions ->> 'api_key_id', '') AS api_key_id,
            coalesce(dimensions ->> 'user_id', '') AS user_id,
            (dimensions - 'deployment_id')::text AS dimensions, sum(quantity) AS quantity,
            max(hour) AS latest
        FROM usage_hour
        WHERE tenant_id = %(tenant_id)s AND meter = %(meter)s AND source <> ALL (%(synchronous)s)
            AND hour >= date_trunc('hour', %(since)s::timestamptz, 'UTC') AND hour < %(until)s
        GROUP BY 1, 2, 3, 4, 5, 6
    ), charged AS (
        SELECT l.day, l.model, l.api_key_id, l.user_id, sum(l.quantity) AS quantity
        FROM charge_line l JOIN charge c ON c.id = l.charge_id AND c.tenant_id = l.tenant_id
        WHERE l.tenant_id = %(tenant_id)s AND l.period = %(period)s AND l.kind = 'usage'
            AND l.meter = %(meter)s AND c.subject_kind = 'sweep'
        GROUP BY 1, 2, 3, 4
    )
    SELECT n.latest, n.dimensions, n.quantity - coalesce(g.quantity, 0)
    FROM counted n LEFT JOIN charged g ON (g.day, g.model, g.api_key_id, g.user_id)
        = ((n.day AT TIME ZONE 'UTC')::date, n.model, n.api_key_id, n.user_id)
    ORDER BY n.latest DESC, n.dimensions
"""


def usage_sweep() -> int:
    """Charge what this month counted and was not charged for yet, tenant by tenant, each in its own
    transaction. What cannot be charged is logged, and keeps nobody else. Returns how many charges
    were made.
    """
    with system_scope():
        period = period_of(database_now())
        tenant_ids = list(Tenant.objects.order_by("id").values_list("id", flat=True))
        lacking: set[str] = set()
        for start in range(0, len(tenant_ids), BATCH):
            lacking |= _lacking(tenant_ids[start : start + BATCH], period)
    return sum(_sweep(tenant_id, period) for tenant_id in sorted(lacking))


def _lacking(tenant_ids: Sequence[str], period: dt.date) -> set[str]:
    """Those with something to charge; who cannot be priced is found by halving, and left out."""
    try:
        found = uncharged(tenant_ids, period)
    except BreakwaterError as error:
        if len(tenant_ids) == 1:
            log.warning("usage has no price", tenant_id=tenant_ids[0], reason=error.message)
            return set()
        half = len(tenant_ids) // 2
        return _lacking(tenant_ids[:half], period) | _lacking(tenant_ids[half:], period)
    return {part.tenant_id for part in found if part.quantity > 0}


def _sweep(tenant_id: str, period: dt.date) -> int:
    try:
        with system_scope():
            return tenant_usage_sweep(tenant_id=tenant_id, period=period)
    except BreakwaterError as error:
        log.warning("usage waits uncharged", tenant_id=tenant_id, reason=error.message)
        return 0


def tenant_usage_sweep(*, tenant_id: str, period: dt.date) -> int:
    """Charge one tenant's uncharged usage of a month. Returns how many charges were made."""
    terms = tenant_terms([tenant_id], [period])[tenant_id, period]
    currencies = sorted({card.currency for card in terms.cards})
    with connections[required_scope().alias].cursor() as cursor:
        locks = {"tenant_id": [tenant_id] * len(currencies), "currency": currencies}
        cursor.execute(LOCK, locks)
    found = [part for part in uncharged([tenant_id], period) if part.quantity > 0]
    by_currency: dict[str, list[ChargeItem]] = {}
    for part in found:
        card = terms.by_name[part.version_id, part.contract_id]
        by_currency.setdefault(card.currency, []).extend(_items(part, card, terms))
    for items in by_currency.values():
        request = ChargeRequest(
            tenant_id=tenant_id,
            key=new_id(f"sweep:{period:%Y-%m}:"),
            subject_kind="sweep",
            subject_id=f"{period:%Y-%m}",
            items=sorted(items, key=lambda item: item.event_time),
        )
        usage_charge(tenant_id=tenant_id, request=request)
    return len(by_currency)


def _items(part: Uncharged, card: RateCard, terms: Terms) -> list[ChargeItem]:
    """An uncharged quantity, laid on the days and callers that counted it, the latest first."""
    price = card.prices.by_key[part.price_key]
    left = part.quantity
    items = []
    for latest, dimensions, quantity in _parts(part, card, terms, price.meter):
        taken = min(left, quantity)
        if taken <= 0 or card.price_of(price.meter, dimensions).key != part.price_key:
            continue
        items.append(ChargeItem(price.meter, taken, dimensions, max(latest, card.starts)))
        left = EXACT.subtract(left, taken)
    if left:
        items.append(ChargeItem(price.meter, left, dict(price.match), card.starts))
    return items


def _parts(
    part: Uncharged, card: RateCard, terms: Terms, meter: str
) -> list[tuple[dt.datetime, dict[str, str], Decimal]]:
    parameters: dict[str, Any] = {
        "tenant_id": part.tenant_id,
        "meter": meter,
        "synchronous": list(SYNCHRONOUS),
        "since": card.starts,
        "until": card.ends or month_bounds(terms.period)[1],
        "period": terms.period,
    }
    with connections[required_scope().alias].cursor() as cursor:
        cursor.execute(PARTS, parameters)
        return [(at, json.loads(text), quantity) for at, text, quantity in cursor.fetchall()]
