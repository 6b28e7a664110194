"""Stored versions and files that nothing refers to, and how long others lay before their next use.

Of versions only an epoch's checkpoint may be an orphan: a job's result is what its tenant paid for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.db.models import Exists, OuterRef

from tenants.costs.selectors import job_costs
from tenants.pricing.cards import RateCard, period_of
from tenants.pricing.charge_models import most
from tenants.pricing.selectors import tenant_terms
from workers.assets.models import Dataset, File, ModelVersion
from workers.jobs.models import Job
from workers.serving.models import Deployment
from workers.waste.facts import Spell, Stored
from workers.waste.reading.serving import Uses
from workers.waste.reading.window import Window

GB = 10**9
HOURS_OF_MONTH = 30 * 24
METER = "storage.gb_hours"
NAMED = ("spec__training_file_id", "spec__validation_file_id", "spec__file_id")
PAUSE_S = 86400.0  # a shorter one is no pause


def versions_read(window: Window, uses: Uses) -> tuple[tuple[Stored, ...], tuple[Spell, ...]]:
    """`uses` by the models' names."""
    there = ModelVersion.objects.filter(deleted_at__isnull=True)
    rows = list(there.select_related("tenant").order_by("id"))
    born = {row.id: row.created_at for row in rows}
    used = {row.id: [window.since + _s(end) for _, end in uses.get(row.name, ())] for row in rows}
    spells = tuple(s for row in rows for s in _spells(born[row.id], used[row.id], window))
    on_offer = Deployment.objects.filter(version=OuterRef("pk"), deleted_at__isnull=True)
    children = ModelVersion.objects.filter(parent=OuterRef("pk"), deleted_at__isnull=True)
    orphaned = there.filter(~Exists(on_offer), ~Exists(children), is_checkpoint=True).exclude(
        job_id__in=Job.objects.filter(finished_at__isnull=True).values("id")
    )
    ids = set(orphaned.values_list("id", flat=True))
    orphans = [row for row in rows if row.id in ids]
    paid = _paid(orphans, window)
    cost = job_costs({row.job_id for row in orphans if row.job_id})
    found = tuple(
        Stored(
            id=row.id,
            tenant_id=row.tenant_id,
            gigabytes=row.bytes / GB,
            idle_s=_idle(born[row.id], used[row.id], window),
            remake=cost[row.job_id].amount if row.job_id in cost else None,
            paid=paid(row),
        )
        for row in orphans
    )
    return found, spells


def files_read(window: Window) -> tuple[tuple[Stored, ...], tuple[Spell, ...]]:
    there = File.objects.filter(deleted_at__isnull=True)
    rows = list(there.select_related("tenant").order_by("id"))
    used = _file_uses()
    spells = tuple(s for row in rows for s in _spells(row.created_at, used.get(row.id, []), window))
    busy = _files_in_work()
    idle = [row for row in rows if row.expires_at is None and row.id not in busy]
    paid = _paid(idle, window)
    found = tuple(
        Stored(
            id=row.id,
            tenant_id=row.tenant_id,
            gigabytes=row.bytes / GB,
            idle_s=_idle(row.created_at, used.get(row.id, []), window),
            remake=None,
            paid=paid(row),
        )
        for row in idle
    )
    return found, spells


def _file_uses() -> dict[str, list[dt.datetime]]:
    """When each file was read: for a dataset, or by a job."""
    found: dict[str, list[dt.datetime]] = {}
    for file_id, moment in Dataset.objects.values_list("file_id", "created_at"):
        found.setdefault(file_id, []).append(moment)
    for *file_ids, moment in Job.objects.values_list(*NAMED, "created_at").iterator():
        for file_id in set(file_ids) - {None}:
            found.setdefault(file_id, []).append(moment)
    return found


def _files_in_work() -> set[str]:
    """Files of jobs that have not ended."""
    jobs = Job.objects.filter(finished_at__isnull=True).values_list(*NAMED)
    return {str(file_id) for row in jobs for file_id in row if file_id}


def _spells(born: dt.datetime, used: Iterable[dt.datetime], window: Window) -> Iterable[Spell]:
    last = born
    for moment in sorted(used):
        if (moment - last).total_seconds() >= PAUSE_S:
            yield Spell((moment - last).total_seconds(), used_again=True)
        last = max(last, moment)
    yield Spell(max((window.until - last).total_seconds(), 0.0), used_again=False)


def _idle(born: dt.datetime, used: Iterable[dt.datetime], window: Window) -> float:
    return (window.until - max([born, *used])).total_seconds()


def _paid(rows: Iterable[Any], window: Window) -> Callable[[Any], Decimal]:
    """What a row's tenant pays for a month of keeping it."""
    period = period_of(window.until)
    tenants = sorted({row.tenant_id for row in rows if not row.tenant.is_platform})
    cards: Mapping[Any, Any] = tenant_terms(tenants, [period])
    prices = {
        tenant_id: _gb_hour(cards[tenant_id, period].at(window.until)) for tenant_id in tenants
    }

    def paid(row: Any) -> Decimal:
        price = prices.get(row.tenant_id, Decimal(0))
        return price * HOURS_OF_MONTH * Decimal(row.bytes) / GB

    return paid


def _gb_hour(card: RateCard) -> Decimal:
    return most(card.price_of(METER, {}).model, Decimal(1)) * card.factor


def _s(seconds: float) -> dt.timedelta:
    return dt.timedelta(seconds=seconds)
