"""Cohorts: fine-tunes of several tenants that one slot trains in shared passes over their base.

Who may share is decided when a job is submitted (`cohort_key_of`: same base in the same numbers,
same task, a LoRA, and worth it by the measured profile) and when it is claimed (its tenant has
agreed, and it has not failed since its last snapshot). Such a job opens a cohort of one; others
join it, before it starts and while it runs, where they would otherwise wait for a slot and the
profile says that it pays. One lease covers all attempts of a cohort; every member has its own
fencing token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from django.db.models.functions import Now

from tenants.kernel.errors import FencedOut
from tenants.kernel.scope import system_scope
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.selectors import ResolvedModel
from workers.engine.errors import EngineError
from workers.engine.profiles import profiles_read
from workers.engine.sharing import Sharer, pays, shared_memory_bytes
from workers.engine.specs import FineTuneSpec
from workers.jobs.claims import Asking, Claim, Due, cap_leaves_room, next_due, take
from workers.jobs.estimates import base_shape
from workers.jobs.fencing import Lease
from workers.jobs.fleet import jobs_due, slots_free
from workers.jobs.kinds import WORKER_CLASSES
from workers.jobs.leases import ORDERS, Orders
from workers.jobs.models import Attempt, Cohort, Job, Worker
from workers.jobs.moves import lease_end
from workers.jobs.outcomes import job_hand_back
from workers.jobs.states import HELD_BY_WORKER, State

PASS_TOKENS = 4096  # of a shared pass, at most


def cohort_key_of(model: ResolvedModel, settings: FineTuneSpec, update_tokens: float) -> str:
    """What a fine-tune has in common with those that it may share passes with.

    "" where it shares with nobody: it is no LoRA on the base's own weights, or it is not worth it
    even with another of its kind.
    """
    version = model.version
    if version is not None and version.kind != ModelVersion.Kind.ADAPTER:
        return ""
    if not shareable(settings):
        return ""
    own = Sharer(settings, update_tokens)
    if not any(_pays([own], own, model.base, device) for device in WORKER_CLASSES):
        return ""
    held = f"{settings.dtype}:{settings.quantise_base}"
    return f"{model.base.id}:{model.base.sha256[:16]}:{held}:{settings.task}"


def shareable(settings: FineTuneSpec) -> bool:
    """Whether the engine can train it in a shared pass (`engine.training.cohort`)."""
    plain = settings.method == "lora" and not settings.lora.use_dora
    plain = plain and settings.dtype != "float16" and settings.processes == 1
    return plain and settings.task == "text_generation"


@dataclass
class Room:
    """A running cohort's place for more: who opened it, its members, and what bounds them."""

    first: Claim
    members: list[Claim]
    at_most: int
    prices: Mapping[str, float] = field(default_factory=dict)


def cohort_join(room: Room) -> list[Claim]:
    """Let waiting jobs in, in fair order; return their claims, which `room` then holds too.

    Only jobs that no free slot would take, for which a shared pass pays, and that fit in memory.
    """
    _release_strays(room)
    joined: list[Claim] = []
    first = room.first
    asking = Asking(first.queue, room.prices, cohort_key=first.cohort_key)
    while len(room.members) < room.at_most:
        with system_scope():
            cohort = _open_cohort(first.cohort_id)
            if cohort is None or jobs_due(first.queue) <= slots_free(first.queue):
                break
            due = next_due(asking)
            if due is None:
                break
            if not cap_leaves_room(due):
                asking.full.append(due.tenant_id)
            elif not _is_worth(room, due):
                asking.without.append(due.job_id)
            else:
                claim = take(due.job_id, worker_id=first.worker_id, slot=first.slot, cohort=cohort)
                joined.append(claim)
                room.members.append(claim)
    return joined


def cohort_renew(*, cohort_id: str, lease_s: float) -> dict[str, Orders]:
    """Heartbeat of all members at once; returns what is wanted of each, by attempt.

    Who is missing has been taken over, or has ended. Raises FencedOut where the cohort has.
    """
    with system_scope():
        rows = Cohort.objects.filter(pk=cohort_id, ended_at=None)
        if not rows.update(lease_expires_at=lease_end(lease_s), heartbeat_at=Now()):
            raise FencedOut(f"the cohort {cohort_id} has ended")
        members = Attempt.objects.filter(cohort_id=cohort_id, ended_at=None).select_related("job")
        return {
            attempt.id: ORDERS.get(State(attempt.job.state), Orders.GO)
            for attempt in members
            if attempt.token == attempt.job.token and attempt.job.state in HELD_BY_WORKER
        }


def cohort_end(*, cohort_id: str) -> None:
    """The slot is free again; whoever is still open in it goes on elsewhere, by the reaper."""
    with system_scope():
        Cohort.objects.filter(pk=cohort_id, ended_at=None).update(ended_at=Now())


def _release_strays(room: Room) -> None:
    """Give back members that nobody works on: they joined, but word of it was lost on the way."""
    known = [member.lease.attempt_id for member in room.members]
    with system_scope():
        rows = Attempt.objects.filter(cohort_id=room.first.cohort_id, ended_at=None)
        strays = list(rows.exclude(pk__in=known))
    for stray in strays:
        with suppress(FencedOut):
            job_hand_back(lease=Lease(stray.job_id, stray.tenant_id, stray.id, stray.token))


def _open_cohort(cohort_id: str) -> Cohort | None:
    """The cohort with its row locked, so that nobody joins one that is just given up."""
    found: Cohort | None = (
        Cohort.objects.select_for_update(of=("self",)).filter(pk=cohort_id, ended_at=None).first()
    )
    return found


def _is_worth(room: Room, due: Due) -> bool:
    job = Job.objects.get(pk=due.job_id)
    base = BaseModel.objects.get(pk=job.spec["base_id"])
    sharers = [_sharer(member) for member in room.members]
    newcomer = Sharer(FineTuneSpec.from_dict(job.spec["settings"]), job.update_tokens)
    if not _pays(sharers, newcomer, base, room.first.queue.partition(".")[2]):
        return False
    memory = Worker.objects.values_list("memory_bytes", flat=True).get(pk=room.first.worker_id)
    specs = [each.spec for each in [*sharers, newcomer]]
    needed = shared_memory_bytes(specs, base_shape(base), pass_tokens=PASS_TOKENS)
    return not memory or needed <= memory


def _sharer(member: Claim) -> Sharer:
    return Sharer(FineTuneSpec.from_dict(dict(member.spec["settings"])), member.update_tokens)


def _pays(sharers: Sequence[Sharer], newcomer: Sharer, base: BaseModel, worker_class: str) -> bool:
    """Whether that class of workers was measured to gain by it."""
    asked = newcomer.spec
    profile = profiles_read(base.profile).get((worker_class, asked.task, asked.method))
    if profile is None:
        return False
    try:
        shape = base_shape(base)
    except EngineError:
        return False
    return pays(sharers, newcomer, shape, profile, pass_tokens=PASS_TOKENS)
