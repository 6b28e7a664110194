"""What billing reads: totals of a period, and whether the hours say what the events say."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connections

from tenants.kernel.scope import ScopeError, required_scope
from tenants.usage.meters import METERS, UNSUMMED

CALLER = frozenset({"api_key_id", "user_id"})  # who called makes no difference to a price
PRICING = frozenset().union(*(meter.dimensions for meter in METERS.values())) - UNSUMMED - CALLER


@dataclass(frozen=True)
class PeriodTotal:
    """`quantity` of `meter` in a period, of `events` events with these dimensions."""

    tenant_id: str
    meter: str
    dimensions: Mapping[str, str]
    quantity: Decimal
    events: int


@dataclass(frozen=True)
class Difference:
    """An hour whose sum is not that of its events; None where one side has nothing."""

    tenant_id: str
    hour: dt.datetime
    meter: str
    summed: Decimal | None
    counted: Decimal | None


_TOTALS = """
    SELECT tenant_id, meter, dimensions - %(dropped)s::text[] AS kept, sum(quantity), sum(events)
    FROM usage_hour
    WHERE hour >= %(start)s AND hour < %(end)s
        AND (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s)
    GROUP BY tenant_id, meter, kept ORDER BY tenant_id, meter, kept
"""

# Of months older than the oldest partition, events may have been dropped: their sums stay.
_DIFFERENCES = """
    WITH counted AS (
        SELECT tenant_id, date_trunc('hour', event_time, 'UTC') AS hour, meter, source,
            dimensions - %(unsummed)s::text[] AS dimensions,
            sum(quantity) AS quantity, count(*) AS events
        FROM usage_event
        WHERE (%(since)s::timestamptz IS NULL OR event_time >= %(since)s)
            AND (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s)
        GROUP BY 1, 2, 3, 4, 5
    ), summed AS (
        SELECT * FROM usage_hour
        WHERE (%(since)s::timestamptz IS NULL OR hour >= %(since)s)
            AND (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s)
    ), oldest AS (
        SELECT min(to_date(right(relname, 7), 'YYYY_MM'))::timestamp AT TIME ZONE 'UTC' AS month
        FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'usage_event'::regclass AND relname ~ '[0-9]{4}_[0-9]{2}$'
    )
    SELECT tenant_id, hour, meter, summed.quantity, counted.quantity
    FROM summed FULL JOIN counted USING (tenant_id, hour, meter, source, dimensions)
    WHERE (summed.quantity IS DISTINCT FROM counted.quantity
            OR summed.events IS DISTINCT FROM counted.events)
        AND NOT (counted.quantity IS NULL AND hour < (SELECT month FROM oldest))
    ORDER BY tenant_id, hour, meter LIMIT 100
"""


def usage_period_totals(
    *,
    period_start: dt.datetime,
    period_end: dt.datetime,
    tenant_id: str | None = None,
    group_by: Collection[str] = PRICING,
) -> list[PeriodTotal]:
    """Sum [period_start, period_end), whole hours, by tenant, meter and the dimensions `group_by`.

    Of `tenant_id`, or of all tenants (system's scope). Late events are in the period they happened
    in. Raises ValueError for a period that does not begin and end with an hour.
    """
    for moment in (period_start, period_end):
        if moment.timestamp() % 3600:
            raise ValueError(f"a period begins and ends with an hour, not at {moment.isoformat()}")
    parameters = {
        "tenant_id": _tenant_in_scope(tenant_id),
        "start": period_start,
        "end": period_end,
        "dropped": sorted((PRICING | CALLER) - set(group_by)),
    }
    return [
        PeriodTotal(owner, meter, json.loads(kept), quantity, int(events))
        for owner, meter, kept, quantity, events in _rows(_TOTALS, parameters)
    ]


def projection_differences(
    *, since: dt.datetime | None = None, tenant_id: str | None = None
) -> list[Difference]:
    """Hours (from `since`, a whole hour, on) that do not say what their events say: must be none.

    At most 100. Reads every event: of a large database give `since`.
    """
    parameters = {
        "tenant_id": _tenant_in_scope(tenant_id),
        "since": since,
        "unsummed": sorted(UNSUMMED),
    }
    return [Difference(*row) for row in _rows(_DIFFERENCES, parameters)]


def _tenant_in_scope(tenant_id: str | None) -> str | None:
    scope = required_scope()
    if scope.tenant_id is None:
        return tenant_id
    if tenant_id not in {None, scope.tenant_id}:
        raise ScopeError(f"usage of tenant {tenant_id} was asked for by {scope}")
    return scope.tenant_id


def _rows(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connections[required_scope().alias].cursor() as cursor:
        cursor.execute(statement, dict(parameters))
        return list(cursor.fetchall())
