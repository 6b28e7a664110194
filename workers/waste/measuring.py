"""What a finding's subject cost before its action and costs since: from the books. System scope.

Equal stretches of at least a day before and after, at most two weeks; scaled to a month. It tells
what changed, not why: the evidence of volume stands beside it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from tenants.costs.daily import between
from tenants.costs.models import WasteFinding
from tenants.kernel.clock import database_now
from workers.assets.models import File, ModelVersion
from workers.jobs.models import Job
from workers.jobs.states import Kind
from workers.waste.findings import CENTS
from workers.waste.reading.prices import gigabyte_month

SHORTEST, LONGEST = dt.timedelta(days=1), dt.timedelta(days=14)
MONTH = dt.timedelta(days=30)
GB = 10**9
ZERO = Decimal(0)


@dataclass(frozen=True)
class Around:
    """USD a month before the action, and after it."""

    before: Decimal
    after: Decimal


def costs_around(row: WasteFinding) -> Around | None:
    """None while it is too early to say."""
    if row.applied_at is None:
        return None
    length = min(database_now() - row.applied_at, LONGEST)
    if length < SHORTEST:
        return None
    if row.action in {"delete", "expire"}:
        return _stored(row)
    return Around(
        _month(row, row.applied_at - length, row.applied_at),
        _month(row, row.applied_at, row.applied_at + length),
    )


def _month(row: WasteFinding, since: dt.datetime, until: dt.datetime) -> Decimal:
    entries = _entries(row, between(since, until))
    spent: Decimal = entries.aggregate(all=Sum("amount"))["all"] or ZERO
    months = Decimal((until - since).total_seconds()) / Decimal(MONTH.total_seconds())
    return (spent / months).quantize(CENTS)


def _entries(row: WasteFinding, entries: Any) -> Any:
    """The entries that its action bears on."""
    if row.action in {"sleep", "resize", "propose_compression"}:
        serve = Job.objects.filter(kind=Kind.SERVE, spec__target=row.subject)
        return entries.filter(job_id__in=serve.values("id"))
    if row.action == "drain":
        return entries.filter(worker__in=row.arguments["workers"])
    tenant_id, kind, base, _ = row.subject.split(":")
    return entries.filter(tenant_id=tenant_id, labels__kind=kind, labels__base=base)


def _stored(row: WasteFinding) -> Around:
    """What its objects cost by their bytes, and what those of them that are still there do."""
    rows: Any = ModelVersion.objects if row.action == "delete" else File.objects
    objects = rows.filter(pk__in=row.arguments["ids"])
    price = gigabyte_month()

    def cost(of: Any) -> Decimal:
        held = of.aggregate(all=Sum("bytes"))["all"] or 0
        return (price * Decimal(held) / GB).quantize(CENTS)

    return Around(cost(objects), cost(objects.filter(deleted_at__isnull=True)))
