"""Tenants, workers, jobs and claims, each in one line."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from tenants.accounts.actors import Actor, system_actor
from tenants.accounts.models import Tenant
from tenants.kernel.crypto import data_key_create
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from tests.credit import credit_give
from workers.jobs.claims import Claim, claim
from workers.jobs.models import Attempt, Job, JobEvent, Worker
from workers.jobs.moves import job_queue
from workers.jobs.states import Kind, State
from workers.jobs.workers import worker_register

_numbers = itertools.count(1)
LEASE_S = 30.0


def make_tenant(**fields: Any) -> Tenant:
    number = next(_numbers)
    with system_scope():
        tenant = Tenant.objects.create(
            id=new_id("ten_"), name=f"Tenant {number}", slug=new_id("t-")[-20:], **fields
        )
        data_key_create(tenant_id=tenant.id)
    credit_give(tenant.id)
    return tenant


def actor_of(tenant: Tenant) -> Actor:
    return system_actor(tenant.id)


def make_worker(*, slots: int = 2, worker_class: str = "cpu") -> Worker:
    return worker_register(
        name=f"w{next(_numbers)}", worker_class=worker_class, queues=["train.cpu"], slots=slots
    )


def queued_job(
    tenant: Tenant,
    *,
    kind: Kind = Kind.FINE_TUNE,
    queue: str = "train.cpu",
    spec: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Job:
    """A job in the queue, without going through its kind's checks."""
    with system_scope():
        job = Job.objects.create(
            id=new_id("ftjob-"),
            tenant_id=tenant.id,
            kind=kind,
            state=State.VALIDATING,
            queue=queue,
            spec=dict(spec or {}),
            **fields,
        )
        job_queue(job)
    return job


def claimed(worker: Worker, *, lease_s: float = LEASE_S, queue: str = "train.cpu") -> Claim:
    """The next job, claimed. Fails where there is none."""
    found = claim(worker_id=worker.id, slot=0, queue=queue, lease_s=lease_s)
    assert found is not None, "no job could be claimed"
    return found


def job_row(job_id: str) -> Job:
    with system_scope():
        return Job.objects.get(pk=job_id)


def attempts_of(job_id: str) -> list[Attempt]:
    with system_scope():
        return list(Attempt.objects.filter(job_id=job_id).order_by("number"))


def messages_of(job_id: str) -> list[str]:
    with system_scope():
        rows = JobEvent.objects.filter(job_id=job_id, type="message")
        return list(rows.order_by("id").values_list("message", flat=True))
