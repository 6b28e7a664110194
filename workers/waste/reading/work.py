"""Jobs by tenant, kind, base and class of workers, and how they could have run for less."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Count, Max, Q, Sum

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
from workers.jobs.models import Job
from workers.jobs.placement import pins
from workers.jobs.states import Kind
from workers.waste.facts import Passes, Sharing, Work
from workers.waste.reading.company import Runs, runs_by_cohort
from workers.waste.reading.window import Window

BOUND = (Kind.FINE_TUNE, Kind.COMPRESS, Kind.EVALUATE, Kind.BATCH)  # come to an end
PATIENCE_S = 6 * 3600.0  # of work that nobody set a time for; a batch's window is a day
PATIENCE_OF = {Kind.BATCH: 18 * 3600.0}
LARGEST_PASS = 65536  # tokens
Key = tuple[str, str, str, str]  # tenant, kind, base, resource


def work_read(window: Window) -> list[Work]:
    spent = _spent(window)
    snapshot_s, seen = _snapshot_s(window), _seen(window)
    found = []
    for key, jobs in sorted(spent.items()):
        tenant_id, kind, base, resource = key
        seconds = sum(job.seconds for job in jobs)
        work = Work(
            id=":".join(key),
            tenant_id=tenant_id,
            kind=kind,
            base=base,
            resource=resource,
            jobs=len(jobs),
            slot_s=seconds,
            on_demand=sum(job.full_s for job in jobs) / seconds if seconds else 0.0,
            snapshot_s=snapshot_s.get(key),
            patience_s=PATIENCE_OF.get(Kind(kind), PATIENCE_S),
        )
        longest = max(job.seconds for job in jobs)
        found.append(_with_choices(work, longest, seen) if kind == Kind.FINE_TUNE else work)
    return found


def jobs_of(work_id: str) -> Any:
    """The jobs that a piece of work by this id is made of."""
    tenant_id, kind, base, resource = work_id.split(":")
    queue = resource.removeprefix("worker.")
    rows = Job.objects.filter(tenant_id=tenant_id, kind=kind, spec__base_id=base)
    return rows.filter(queue__endswith=f".{queue}")


@dataclass(frozen=True)
class _Spent:
    """A job's slot-seconds, and those of them at the full price."""

    seconds: float
    full_s: float


def _spent(window: Window) -> dict[Key, list[_Spent]]:
    entries = CostEntry.objects.filter(started_at__gte=window.since, started_at__lt=window.until)
    sums = (
        entries.filter(labels__kind__in=[kind.value for kind in BOUND])
        .order_by()
        .values_list("tenant_id", "labels__kind", "labels__base", "resource_id", "job_id")
        .annotate(
            seconds=Sum("quantity"),
            full=Sum("quantity", filter=Q(rate__kind=Rate.Kind.ON_DEMAND)),
        )
    )
    found: dict[Key, list[_Spent]] = {}
    for tenant_id, kind, base, resource, _, seconds, full in sums:
        key = (tenant_id, kind, base or "", resource)
        found.setdefault(key, []).append(_Spent(float(seconds), float(full or 0)))
    return found


def _snapshot_s(window: Window) -> dict[Key, float]:
    """What lies between two snapshots, by what its jobs took and how many they wrote."""
    jobs = Job.objects.filter(kind__in=BOUND, created_at__gte=window.since)
    place = ("tenant_id", "kind", "spec__base_id", "queue")
    written: dict[Key, int] = {}
    for *key, number in jobs.order_by().values_list(*place).annotate(Count("snapshots")):
        written[_key(*key)] = written.get(_key(*key), 0) + number
    entries = CostEntry.objects.filter(job_id__in=jobs.values("id")).order_by()
    sums = entries.values_list("tenant_id", "labels__kind", "labels__base", "resource_id")
    spent = {(t, k, b or "", r): float(s) for t, k, b, r, s in sums.annotate(Sum("quantity"))}
    return {key: spent.get(key, 0.0) / number for key, number in written.items() if number}


def _key(tenant_id: str, kind: str, base: str | None, queue: str) -> Key:
    return tenant_id, kind, base or "", f"worker.{queue.rpartition('.')[2]}"


@dataclass(frozen=True)
class _Seen:
    """What was read of all fine-tunes at once."""

    sharers: Collection[str]  # tenants
    newest: Mapping[Key, Job]
    bases: Mapping[str, BaseModel]
    memory: Mapping[str, int]  # of the smallest worker of each class; 0: not known
    runs: Mapping[str, Runs]  # by cohort key


def _seen(window: Window) -> _Seen:
    fine_tunes = Job.objects.filter(kind=Kind.FINE_TUNE, created_at__lt=window.until)
    place = fine_tunes.order_by().values("tenant_id", "kind", "spec__base_id", "queue")
    newest = Job.objects.filter(pk__in=[row["last"] for row in place.annotate(last=Max("id"))])
    memory: dict[str, int] = {}
    for worker in workers_alive().filter(draining_at=None, drain_asked_at=None):
        name = worker.worker_class
        memory[name] = min(memory.get(name, worker.memory_bytes), worker.memory_bytes)
    return _Seen(
        sharers=set(Tenant.objects.filter(shares_passes=True).values_list("id", flat=True)),
        newest={_key(j.tenant_id, j.kind, j.spec.get("base_id"), j.queue): j for j in newest},
        bases=BaseModel.objects.exclude(profile={}).in_bulk(),
        memory=memory,
        runs=runs_by_cohort(window),
    )


def _with_choices(work: Work, longest_s: float, seen: _Seen) -> Work:
    """What the base's measured profiles say of other classes, of sharing and of larger passes.

    `longest_s` is what the longest of its jobs took.
    """
    job, base = seen.newest.get(_key_of(work)), seen.bases.get(work.base)
    if job is None or base is None:
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
    elsewhere = {
        f"worker.{name}": work.slot_s * times
        for name, times in _slower(worker_class, spec, shape, profiles, seen.memory).items()
        if not pins(job.spec) and longest_s * (times - 1) <= (work.patience_s or 0.0)
    }
    runs = seen.runs.get(job.cohort_key)
    alone = work.tenant_id not in seen.sharers
    return replace(
        work,
        elsewhere=elsewhere,
        sharing=_sharing(work.tenant_id, sharer, shape, here, runs) if alone and runs else None,
        passes=_passes(sharer, shape, here, seen.memory.get(worker_class, 0)),
    )


def _key_of(work: Work) -> Key:
    return work.tenant_id, work.kind, work.base, work.resource


def _slower(
    here: str,
    spec: FineTuneSpec,
    shape: Shape,
    profiles: Mapping[ProfileKey, Profile],
    memory: Mapping[str, int],
) -> dict[str, float]:
    """How many times as long it takes on other classes that are there and that it fits into."""
    needed = memory_bytes(spec, shape)
    speed = profiles[here, spec.task, spec.method].flops
    return {
        name: speed / profile.flops
        for (name, task, method), profile in profiles.items()
        if (task, method) == (spec.task, spec.method)
        and name in memory
        and name != here
        and (not memory[name] or needed <= memory[name])
    }


def _sharing(
    tenant_id: str, sharer: Sharer, shape: Shape, profile: Profile, runs: Runs
) -> Sharing | None:
    if profile.segment_s is None:
        return None
    alone = alone_s(sharer, shape, profile)
    both = together_s([sharer, sharer], shape, profile, pass_tokens=PASS_TOKENS)
    return Sharing(alone, both - alone, runs.company_of(tenant_id), spread=MARGIN / 2)


def _passes(sharer: Sharer, shape: Shape, profile: Profile, memory: int) -> Passes | None:
    fitting = sharer.spec.micro_batch_tokens
    while fitting < min(sharer.tokens, LARGEST_PASS):
        if not memory or memory_bytes(sharer.spec, shape, tokens=fitting * 2) > memory:
            break
        fitting *= 2
    if fitting == sharer.spec.micro_batch_tokens:
        return None
    larger = Sharer(replace(sharer.spec, micro_batch_tokens=fitting), sharer.tokens)
    return Passes(alone_s(sharer, shape, profile), alone_s(larger, shape, profile), fitting)
