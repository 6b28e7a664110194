"""Jobs by tenant, kind, base and class of workers, and how they could have run for less."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db.models import Count, Q, Sum

from tenants.accounts.models import Tenant
from tenants.costs.models import CostEntry, Rate
from workers.assets.models import BaseModel
from workers.engine.errors import EngineError
from workers.engine.profiles import Key as ProfileKey
from workers.engine.profiles import Profile, memory_bytes, profiles_read
from workers.engine.shapes import Shape
from workers.engine.sharing import MARGIN, Sharer, alone_s, together_s
from workers.engine.specs import FineTuneSpec
from workers.jobs.cohorts import PASS_TOKENS
from workers.jobs.estimates import base_shape
from workers.jobs.fleet import workers_alive
from workers.jobs.models import Attempt, Job, Snapshot, Worker
from workers.jobs.states import Kind
from workers.waste.facts import Passes, Sharing, Work
from workers.waste.reading.window import Window

BOUND = (Kind.FINE_TUNE, Kind.COMPRESS, Kind.EVALUATE, Kind.BATCH)  # come to an end
PATIENCE_S = 6 * 3600.0  # of work that nobody set a time for; a batch's window is a day
PATIENCE_OF = {Kind.BATCH: 18 * 3600.0}
LARGEST_PASS = 65536  # tokens
Key = tuple[str, str, str, str]  # tenant, kind, base, resource


def work_read(window: Window) -> list[Work]:
    entries = CostEntry.objects.filter(started_at__gte=window.since, started_at__lt=window.until)
    sums = (
        entries.filter(labels__kind__in=[kind.value for kind in BOUND])
        .order_by()
        .values_list("tenant_id", "labels__kind", "labels__base", "resource_id")
        .annotate(
            seconds=Sum("quantity"),
            jobs=Count("job_id", distinct=True),
            full_price=Sum("quantity", filter=Q(rate__kind=Rate.Kind.ON_DEMAND)),
        )
    )
    sharers = set(Tenant.objects.filter(shares_passes=True).values_list("id", flat=True))
    found = []
    for tenant_id, kind, base, resource, seconds, jobs, full in sums:
        key = (tenant_id, kind, base or "", resource)
        work = Work(
            id=":".join(key),
            tenant_id=tenant_id,
            kind=kind,
            base=base or "",
            resource=resource,
            jobs=jobs,
            slot_s=float(seconds),
            on_demand=bool(full),
            snapshot_s=_snapshot_s(key, window),
            patience_s=PATIENCE_OF.get(Kind(kind), PATIENCE_S),
        )
        found.append(_with_choices(work, sharers, window) if kind == Kind.FINE_TUNE else work)
    return found


def jobs_of(work_id: str) -> Any:
    """The jobs that a piece of work by this id is made of."""
    tenant_id, kind, base, resource = work_id.split(":")
    queue = resource.removeprefix("worker.")
    rows = Job.objects.filter(tenant_id=tenant_id, kind=kind, spec__base_id=base)
    return rows.filter(queue__endswith=f".{queue}")


def _with_choices(work: Work, sharers: set[str], window: Window) -> Work:
    """What the base's measured profiles say of other classes, of sharing and of larger passes."""
    job = jobs_of(work.id).filter(created_at__lt=window.until).order_by("-id").first()
    base = BaseModel.objects.filter(pk=work.base).first()
    if job is None or base is None or not base.profile:
        return work
    try:
        shape = base_shape(base)
        spec = FineTuneSpec.from_dict(dict(job.spec["settings"]))
    except (EngineError, ValueError, KeyError):  # of an older version, or its folder is gone
        return work
    profiles = profiles_read(base.profile)
    worker_class = work.resource.removeprefix("worker.")
    here = profiles.get((worker_class, spec.task, spec.method))
    if here is None:
        return work
    sharer = Sharer(spec, job.update_tokens)
    return replace(
        work,
        elsewhere=_elsewhere(work, spec, shape, profiles, here),
        sharing=_sharing(work, job, sharer, shape, here, window)
        if work.tenant_id not in sharers
        else None,
        passes=_passes(work, sharer, shape, here),
    )


def _elsewhere(
    work: Work,
    spec: FineTuneSpec,
    shape: Shape,
    profiles: Mapping[ProfileKey, Profile],
    here: Profile,
) -> dict[str, float]:
    """The time on other classes that are there, by their measured speed, where a job fits."""
    memory = {w.worker_class: w.memory_bytes for w in workers_alive().filter(draining_at=None)}
    needed = memory_bytes(spec, shape)
    return {
        f"worker.{name}": work.slot_s * here.flops / profile.flops
        for (name, task, method), profile in profiles.items()
        if (task, method) == (spec.task, spec.method)
        and name in memory
        and f"worker.{name}" != work.resource
        and (not memory[name] or needed <= memory[name])
    }


def _sharing(
    work: Work, job: Job, sharer: Sharer, shape: Shape, profile: Profile, window: Window
) -> Sharing | None:
    if not job.cohort_key or profile.segment_s is None:
        return None
    alone = alone_s(sharer, shape, profile)
    both = together_s([sharer, sharer], shape, profile, pass_tokens=PASS_TOKENS)
    company = _company(work, job.cohort_key, window)
    return Sharing(alone, both - alone, company, spread=MARGIN / 2)


def _company(work: Work, cohort_key: str, window: Window) -> float:
    """The share of its time in which another fine-tune of the same key was queued or ran."""
    rows = Attempt.objects.filter(job__cohort_key=cohort_key, started_at__gte=window.since)
    own, others = [], []
    for attempt in rows.select_related("job"):
        end = attempt.ended_at or window.until
        mine = attempt.tenant_id == work.tenant_id
        if mine:
            own.append((attempt.started_at, end, attempt.job_id))
        queued = attempt.job.queued_at or attempt.started_at
        others.append((min(queued, attempt.started_at), end, attempt.job_id))
    total = sum((end - start for start, end, _ in own), dt.timedelta())
    beside = sum((_beside(each, others) for each in own), dt.timedelta())
    return beside / total if total else 0.0


def _beside(own: tuple[Any, Any, str], others: Sequence[tuple[Any, Any, str]]) -> dt.timedelta:
    start, end, job_id = own
    reached, covered = start, dt.timedelta()
    for begin, stop, other in sorted(others):
        if other != job_id and begin < end and stop > reached:
            covered += min(stop, end) - max(begin, reached)
            reached = max(reached, min(stop, end))
    return covered


def _passes(work: Work, sharer: Sharer, shape: Shape, profile: Profile) -> Passes | None:
    memory = max(
        (
            worker.memory_bytes
            for worker in Worker.objects.filter(
                worker_class=work.resource.removeprefix("worker."), stopped_at=None
            )
        ),
        default=0,
    )
    fitting = sharer.spec.micro_batch_tokens
    while fitting < min(sharer.tokens, LARGEST_PASS):
        if not memory or memory_bytes(sharer.spec, shape, tokens=fitting * 2) > memory:
            break
        fitting *= 2
    if fitting == sharer.spec.micro_batch_tokens:
        return None
    larger = Sharer(replace(sharer.spec, micro_batch_tokens=fitting), sharer.tokens)
    return Passes(alone_s(sharer, shape, profile), alone_s(larger, shape, profile), fitting)


def _snapshot_s(key: Key, window: Window) -> float | None:
    """What lies between two snapshots, by what its jobs took and how many they wrote."""
    jobs = jobs_of(":".join(key)).filter(created_at__gte=window.since)
    written: int = Snapshot.objects.filter(job__in=jobs.values("pk")).count()
    if not written:
        return None
    spent = CostEntry.objects.filter(job_id__in=jobs.values("pk")).aggregate(all=Sum("quantity"))
    return float(spent["all"] or 0) / written
