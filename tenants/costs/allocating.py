"""The allocation rule over the entries that were recorded. System scope."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tenants.costs.allocation import Allocation, Spent, Terms, Who, allocate
from tenants.costs.daily import between
from tenants.costs.overheads import overheads_between
from tenants.costs.unit_economics import avoidable_now

AT_A_TIME = 5000
CAUSED_BY = "caused_by"  # a label of retries; "tenant" where the tenant's doing made it necessary


def allocation_of(
    *, since: dt.datetime, until: dt.datetime, terms: Terms | None = None
) -> Allocation:
    """Allocate the entries that started in [since, until), by the terms as the books stand where
    none are given.
    """
    return allocate(spent_between(since, until), terms or terms_of(since, until))


def terms_of(
    since: dt.datetime,
    until: dt.datetime,
    *,
    planned_utilisation: Decimal = Terms.planned_utilisation,
) -> Terms:
    """Pools that are owned or reserved now are committed; overheads are those of the days."""
    return Terms(
        planned_utilisation=planned_utilisation,
        committed=frozenset(avoidable_now()),
        overheads=overheads_between(since, until),
    )


def spent_between(since: dt.datetime, until: dt.datetime) -> Iterator[Spent]:
    """The entries as the rule sees them, in the order of their time."""
    rows: Any = between(since, until).order_by("started_at", "key")
    columns = (
        "resource_id", "worker", "purpose", "started_at", "ended_at", "amount", "tenant_id",
        "labels",
    )  # fmt: skip
    for row in rows.values(*columns).iterator(chunk_size=AT_A_TIME):
        labels = row["labels"]
        kind, base, method = (labels.get(name, "") for name in ("kind", "base", "method"))
        yield Spent(
            pool=row["resource_id"],
            worker=row["worker"],
            purpose=row["purpose"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            amount=row["amount"],
            who=Who(row["tenant_id"], kind, base, method),
            caused_by_tenant=labels.get(CAUSED_BY) == "tenant",
        )
