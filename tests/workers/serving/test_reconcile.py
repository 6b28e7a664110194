"""The reconciler: as many serve jobs as are wanted, and what deployments show of it."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now

from tenants.kernel.ids import new_id
from tenants.kernel.locks import AdvisoryLock, try_advisory_lock
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope
from tests.workers.serving.factories import copied, customer, text_base, version_of
from workers.assets.models import ModelVersion
from workers.jobs.models import Job
from workers.jobs.states import State
from workers.serving.models import Deployment, Replica
from workers.serving.reconcile import deployments_reconcile

pytestmark = pytest.mark.django_db


@pytest.fixture
def offered(tiny: Path) -> None:
    """The base `tiny`, asleep."""
    text_base(tiny)
    deployments_reconcile()


def wake(seconds: float = 900, **changes: Any) -> None:
    with system_scope():
        until = Now() + dt.timedelta(seconds=seconds)
        Deployment.objects.update(wanted_until=until, state="waking", **changes)


def jobs(**found: Any) -> list[Job]:
    with system_scope():
        return list(Job.objects.filter(kind="serve", **found).order_by("id"))


def deployment() -> Deployment:
    with system_scope():
        return Deployment.objects.get(model="tiny")


def run(job: Job, *, token: int = 1, replica: str = Replica.State.READY, active: int = 0) -> None:
    """A worker holds the job, and its replica is in that state."""
    with system_scope():
        Job.objects.filter(pk=job.pk).update(state=State.RUNNING, token=token)
        Replica.objects.create(
            id=new_id("rep_"), target="tiny", job_id=job.id, token=token,
            address="127.0.0.1:1", state=replica, active=active,
        )  # fmt: skip


def test_asleep_nothing_runs_awake_one_does_and_only_one(offered: None) -> None:
    assert jobs() == []
    wake()
    assert deployments_reconcile() == 1
    assert deployments_reconcile() == 0
    (job,) = jobs()
    assert job.spec == {"target": "tiny", "base_id": "tiny", "version_id": None}
    assert job.queue == "serve.cpu"
    assert deployment().state == Deployment.State.WAKING


def test_ready_is_shown_and_told_once(offered: None) -> None:
    wake()
    deployments_reconcile()
    run(jobs()[0])
    for _ in range(2):
        deployments_reconcile()
    assert deployment().state == Deployment.State.READY
    with system_scope():
        assert OutboxEvent.objects.filter(name="deployment.ready").count() == 1


def test_what_nobody_calls_falls_asleep_and_its_replica_is_drained(offered: None) -> None:
    # given a replica at work
    wake()
    deployments_reconcile()
    run(jobs()[0])
    deployments_reconcile()
    # when the time without requests is over
    wake(seconds=-1)
    deployments_reconcile()
    # then the deployment sleeps and the job is told to end
    assert deployment().state == Deployment.State.ASLEEP
    assert jobs()[0].state == State.CANCELLING
    # and when it is woken before that has happened, a fresh one is started
    wake()
    assert deployments_reconcile() == 1
    assert len(jobs(state=State.QUEUED)) == 1


def test_load_brings_replicas_and_calm_drains_the_newest(offered: None) -> None:
    wake(max_replicas=2)
    deployments_reconcile()
    first = jobs()[0]
    run(first, active=20)
    deployments_reconcile()
    assert len(jobs()) == 2
    second = jobs()[1]
    run(second, active=0)
    with system_scope():
        Replica.objects.update(active=1)
    deployments_reconcile()
    assert [job.state for job in jobs()] == [State.RUNNING, State.CANCELLING]


def test_a_replica_whose_job_went_on_without_it_is_buried(offered: None) -> None:
    wake()
    deployments_reconcile()
    (job,) = jobs()
    run(job, token=1)
    # when another attempt has taken over
    with system_scope():
        Job.objects.filter(pk=job.pk).update(token=2)
    deployments_reconcile()
    # then the old row is no address any more
    with system_scope():
        assert Replica.objects.get().state == Replica.State.STOPPED
    assert deployment().state == Deployment.State.WAKING


def test_a_target_that_fails_is_shown_and_tried_again_after_a_while(offered: None) -> None:
    wake()
    deployments_reconcile()
    with system_scope():
        Job.objects.update(
            state=State.FAILED, finished_at=Now(), error={"message": "no memory", "code": "x"}
        )
    # when its serve job has failed, then it is not started at once
    assert deployments_reconcile() == 0
    row = deployment()
    assert (row.state, row.last_error) == (Deployment.State.FAILED, "no memory")
    # but after the back-off
    with system_scope():
        Job.objects.update(finished_at=Now() - dt.timedelta(seconds=6))
    assert deployments_reconcile() == 1
    run(jobs(state=State.QUEUED)[0])
    deployments_reconcile()
    assert (deployment().state, deployment().last_error) == (Deployment.State.READY, "")


def test_a_full_models_job_names_it_and_a_deleted_one_is_not_served(
    tiny: Path, tmp_path: Path
) -> None:
    # given a full version on offer, awake
    base = text_base(tiny)
    acme = customer()
    version = version_of(acme, base, copied(tiny, tmp_path / "f"), kind=ModelVersion.Kind.FULL)
    with system_scope():
        Deployment.objects.create(
            id="dep_1", tenant_id=acme.tenant_id, model=version.name, base=base,
            version=version, target=version.id, state="waking",
            wanted_until=Now() + dt.timedelta(seconds=60),
        )  # fmt: skip
    deployments_reconcile()
    assert jobs()[0].spec["version_id"] == version.id
    # when the version is deleted, then its replica goes
    with system_scope():
        ModelVersion.objects.filter(pk=version.pk).update(deleted_at=Now())
    deployments_reconcile()
    assert jobs()[0].state == State.CANCELLED


def test_two_reconcilers_at_once_start_one_replica(offered: None) -> None:
    wake()
    # given another reconciler in the midst of its work
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with system_scope():
                assert try_advisory_lock(AdvisoryLock.RECONCILER)
                holding.set()
                done.wait(30)
        finally:
            connections.close_all()

    other = threading.Thread(target=hold)
    other.start()
    holding.wait(30)
    # when a second one comes, then it leaves the work to the first
    try:
        assert deployments_reconcile() == 0
    finally:
        done.set()
        other.join()
    assert deployments_reconcile() == 1
