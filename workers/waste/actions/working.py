"""Let workers go, move waiting jobs, and enlarge their passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from django.db.models import QuerySet

from tenants.accounts.actors import Actor
from tenants.costs.models import Rate
from tenants.kernel.errors import Conflict
from workers.jobs.fleet import workers_alive
from workers.jobs.models import Job, Worker
from workers.jobs.placement import pins
from workers.jobs.services import job_pass_resize, job_place
from workers.jobs.states import State
from workers.jobs.workers import drain_ask, drain_take_back
from workers.waste.reading.work import jobs_of


def workers_state(subject: str, arguments: Mapping[str, Any]) -> Any:
    """Whether those workers still work, and how many slots their class has."""
    del subject
    rows = {w.id: w for w in Worker.objects.select_for_update().filter(pk__in=arguments["workers"])}
    classes = {worker.worker_class for worker in rows.values()}
    alive = workers_alive().filter(draining_at=None, drain_asked_at=None, worker_class__in=classes)
    return {
        "workers": {
            name: name in rows and not (rows[name].stopped_at or rows[name].drain_asked_at)
            for name in sorted(arguments["workers"])
        },
        "slots": sum(worker.slots for worker in alive),
    }


def drain(actor: Actor, subject: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Have them claim no more; what runs on them snapshots and goes on elsewhere.

    Their time is paid for until their machines are given back.
    """
    del subject
    for worker_id in arguments["workers"]:
        drain_ask(actor=actor, worker_id=worker_id)
    return {"workers": list(arguments["workers"])}


def drain_undo(actor: Actor, before: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Those that are still there claim again."""
    del arguments
    alive = Worker.objects.filter(pk__in=before["workers"], stopped_at__isnull=True)
    for worker_id in alive.order_by("pk").values_list("pk", flat=True):
        drain_take_back(actor=actor, worker_id=worker_id)


def queued_state(subject: str, arguments: Mapping[str, Any]) -> Any:
    """That there is work of it, as it would be run now."""
    del arguments
    newest = jobs_of(subject).order_by("-id").values_list("spec__settings", flat=True).first()
    return {"settings": newest}


def place(actor: Actor, subject: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Move its waiting jobs to the other class of workers, but for those asked for as they are."""
    return _each(
        (job for job in _queued(jobs_of(subject)) if not pins(job.spec)),
        lambda job: job_place(
            actor=replace(actor, tenant_id=job.tenant_id),
            job_id=job.id,
            worker_class=arguments["resource"].removeprefix("worker."),
        ),
    )


def place_undo(actor: Actor, before: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Those that still wait there go back."""
    there = arguments["resource"].removeprefix("worker.")
    for job in _queued(Job.objects.filter(pk__in=before["jobs"], queue__endswith=f".{there}")):
        name = str(before["jobs"][job.id]).rpartition(".")[2]
        job_place(actor=replace(actor, tenant_id=job.tenant_id), job_id=job.id, worker_class=name)


def enlarge(actor: Actor, subject: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Have its waiting jobs train in passes of that size: the result is the same."""
    return _each(
        _queued(jobs_of(subject)),
        lambda job: job_pass_resize(
            actor=replace(actor, tenant_id=job.tenant_id),
            job_id=job.id,
            tokens=arguments["micro_batch_tokens"],
        ),
    )


def enlarge_undo(actor: Actor, before: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Those that still wait take passes as they were submitted with."""
    del arguments
    for job in _queued(Job.objects.filter(pk__in=before["jobs"])):
        job_pass_resize(
            actor=replace(actor, tenant_id=job.tenant_id),
            job_id=job.id,
            tokens=int(before["jobs"][job.id]),
        )


def class_state(subject: str, arguments: Mapping[str, Any]) -> Any:
    """Which workers of the class there are, and how their time is bought."""
    del subject
    return {worker.id: worker.rate_kind for worker in _of_class(arguments["resource"])}


def move_to_spot(actor: Actor, subject: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let go as many slots at the full price as the class has on spot: its work goes there.

    Raises Conflict where no worker on spot capacity is alive.
    """
    del subject
    alive = list(_of_class(arguments["resource"]))
    spot = sum(worker.slots for worker in alive if worker.rate_kind == Rate.Kind.SPOT)
    if not spot:
        raise Conflict(
            f"no {arguments['resource']} on spot capacity is alive; start some with "
            "BREAKWATER_WORKER_RATE_KIND=spot first",
            code="no_spot_workers",
        )
    leaving = []
    for worker in alive:
        if worker.rate_kind == Rate.Kind.ON_DEMAND and worker.slots <= spot:
            drain_ask(actor=actor, worker_id=worker.id)
            leaving.append(worker.id)
            spot -= worker.slots
    return {"workers": leaving}


def _of_class(resource: str) -> Iterable[Worker]:
    rows = workers_alive().filter(
        worker_class=resource.removeprefix("worker."), draining_at=None, drain_asked_at=None
    )
    return rows.order_by("id")


def _each(waiting: Iterable[Job], change: Callable[[Job], Any]) -> Mapping[str, Any]:
    """Change them; what each was before. Raises Conflict where there are none."""
    before = {job.id: change(job) for job in waiting}
    if not before:
        raise Conflict(
            "none of its jobs that may be changed waits now; those that run keep what they began "
            "with",
            code="nothing_queued",
        )
    return {"jobs": before}


def _queued(jobs: QuerySet[Job]) -> Iterable[Job]:
    """Those that wait, locked: no worker claims one meanwhile."""
    waiting = jobs.filter(state=State.QUEUED).select_for_update(of=("self",))
    return waiting.order_by("tenant_id", "id")
