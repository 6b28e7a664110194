"""Serve jobs through the same wiring: a replica comes up, is found, and leaves when told."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from tenants.accounts.selectors import platform_tenant
from tenants.kernel.scope import system_scope, tenant_scope
from tests.workers.jobs.factories import actor_of, attempts_of, job_row, make_worker
from tests.workers.tasks.factories import Running, start, until
from workers.assets.models import BaseModel
from workers.jobs.models import Job
from workers.jobs.services import job_cancel, job_submit
from workers.jobs.states import Kind, State
from workers.serving.models import Replica

pytestmark = pytest.mark.django_db


def serve(base: BaseModel) -> tuple[Job, Running]:
    with system_scope():
        job = job_submit(
            actor=actor_of(platform_tenant()),
            kind=Kind.SERVE,
            spec={"target": base.id, "base_id": base.id, "version_id": None},
        )
    running = start(make_worker(), queue="serve.cpu")
    until(lambda: ready(job), what="a replica")
    return job, running


def ready(job: Job) -> Replica | None:
    with system_scope():
        return Replica.objects.filter(job_id=job.id, state=Replica.State.READY).first()


def stopped(job: Job) -> bool:
    with system_scope():
        return not Replica.objects.filter(job_id=job.id, stopped_at__isnull=True).exists()


def test_a_replica_listens_until_its_job_is_cancelled(base: BaseModel) -> None:
    job, running = serve(base)
    replica = ready(job)
    assert replica is not None
    host, _, port = replica.address.partition(":")
    socket.create_connection((host, int(port)), timeout=5).close()
    with tenant_scope(job.tenant_id):
        job_cancel(actor=actor_of(job.tenant), job_id=job.id)
    running.join()
    assert job_row(job.id).state == State.CANCELLED
    assert stopped(job)
    with pytest.raises(OSError):
        socket.create_connection((host, int(port)), timeout=5)


def test_a_draining_worker_hands_its_replicas_job_back(base: BaseModel) -> None:
    job, running = serve(base)
    running.draining.set()
    running.join()
    assert (job_row(job.id).state, job_row(job.id).failures) == (State.QUEUED, {})
    assert attempts_of(job.id)[0].outcome == "handed_back"
    assert stopped(job)


def test_a_killed_replica_is_tried_again(base: BaseModel) -> None:
    job, running = serve(base)
    child = running.supervision.watch.child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    running.join()
    assert (job_row(job.id).state, job_row(job.id).failures) == (State.QUEUED, {"platform": 1})
    assert stopped(job)
