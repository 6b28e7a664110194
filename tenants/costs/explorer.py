"""What was spent by day and group, the largest groups by name and the rest as one. System scope."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from django.db import connections

from tenants.kernel.scope import SYSTEM

Group = Literal["purpose", "tenant", "resource", "base"]
LARGEST = 12
_COLUMNS: dict[Group, str] = {
    "purpose": "purpose",
    "tenant": "tenant_id",
    "resource": "resource_id",
    "base": "base",
}
# One pass over the days' sums; a thousand tenants by name would be drawn by nobody.
_READ = """
    WITH sums AS MATERIALIZED (
        SELECT day, {column} AS value, sum(amount) AS amount FROM cost_day
        WHERE day >= %s GROUP BY day, {column}
    ), largest AS (
        SELECT value FROM sums GROUP BY value ORDER BY sum(amount) DESC, value LIMIT %s
    )
    SELECT sums.day, largest.value, sum(sums.amount)
    FROM sums LEFT JOIN largest ON largest.value = sums.value
    GROUP BY sums.day, largest.value ORDER BY sums.day, largest.value NULLS LAST
"""


@dataclass(frozen=True)
class DayCost:
    """`group` is a tenant's, resource's … id; None: all but the largest."""

    day: dt.date
    group: str | None
    amount: Decimal


def costs_by_day(*, group: Group, since: dt.datetime, largest: int = LARGEST) -> list[DayCost]:
    """The costs of the UTC days from `since`, a midnight, on."""
    statement = _READ.format(column=_COLUMNS[group])
    with connections[SYSTEM].cursor() as cursor:
        cursor.execute(statement, [since.astimezone(dt.UTC).date(), largest])
        return [DayCost(*row) for row in cursor.fetchall()]
