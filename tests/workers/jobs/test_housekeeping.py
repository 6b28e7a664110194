"""Hints, snapshots' retention, offers and workers' rows."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tenants.costs.services import resources_ensure
from tenants.kernel.clock import database_now
from tenants.kernel.scope import system_scope, tenant_scope
from tests.workers.jobs.factories import claimed, job_row, make_tenant, make_worker, queued_job
from workers.jobs import retention
from workers.jobs.fencing import Lease
from workers.jobs.fleet import SILENT_S, workers_alive, workers_silent
from workers.jobs.hints import queues_waiting
from workers.jobs.models import Job, Snapshot, Worker
from workers.jobs.offers import offers_now
from workers.jobs.outcomes import Made, job_finish, snapshot_commit
from workers.jobs.reaper import workers_bury
from workers.jobs.retention import snapshot_orphans_purge, snapshots_purge
from workers.jobs.workers import worker_drain, worker_heartbeat

pytestmark = pytest.mark.django_db


class Object:
    bytes = 1
    sha256 = "0" * 64

    def __init__(self, key: str) -> None:
        self.key = key


def snapshot(lease: Lease, step: int) -> str:
    key = f"{lease.tenant_id}/jobs/{lease.job_id}/{lease.token}/{step}"
    snapshot_commit(
        lease=lease, step=step, stored=Object(default_storage.save(key, ContentFile(b"x")))
    )
    return key


def test_queues_with_due_jobs_are_hinted_at_once_per_free_slot() -> None:
    tenant = make_tenant()
    for _ in range(7):
        queued_job(tenant)
    queued_job(tenant, queue="infer.cpu")  # served by nobody
    assert queues_waiting() == {}
    one, two = make_worker(slots=2), make_worker(slots=3)
    later = queued_job(tenant, queue="train.gpu")
    with system_scope():
        due = database_now() + dt.timedelta(minutes=1)
        Job.objects.filter(pk=later.id).update(available_at=due)
    assert queues_waiting() == {"train.cpu": 5}
    worker_heartbeat(worker_id=one.id, busy=2)
    worker_heartbeat(worker_id=two.id, busy=1)
    assert queues_waiting() == {"train.cpu": 2}
    worker_drain(worker_id=two.id)
    assert queues_waiting() == {}


def test_of_a_running_job_the_newest_two_snapshots_stay() -> None:
    job = queued_job(make_tenant())
    lease = claimed(make_worker()).lease
    keys = [snapshot(lease, step) for step in (1, 2, 3, 4)]
    assert snapshots_purge() == 2
    assert snapshots_purge() == 0
    assert [default_storage.exists(key) for key in keys] == [False, False, True, True]
    with system_scope():
        assert Snapshot.objects.get(pk=job_row(job.id).resume_from).deleted_at is None


def test_of_an_ended_job_no_snapshot_stays() -> None:
    queued_job(make_tenant())
    lease = claimed(make_worker()).lease
    keys = [snapshot(lease, step) for step in (1, 2)]
    job_finish(lease=lease, make=lambda _: Made())
    assert snapshots_purge() == 2
    assert not any(default_storage.exists(key) for key in keys)


def test_offers_say_free_slots_and_price_and_tenants_may_read_them() -> None:
    with system_scope():
        resources_ensure()
    worker = make_worker(slots=4)
    worker_heartbeat(worker_id=worker.id, busy=1)
    with tenant_scope(make_tenant().id):
        (offer,) = offers_now()
    assert (offer.worker_class, offer.free_slots) == ("cpu", 3)
    assert 0 < offer.price < 1


@pytest.mark.parametrize(("silent_s", "alive"), [(SILENT_S - 5, True), (SILENT_S + 5, False)])
def test_whether_a_worker_lives_has_one_answer(silent_s: float, alive: bool) -> None:
    worker = make_worker()
    with system_scope():
        heard = database_now() - dt.timedelta(seconds=silent_s)
        Worker.objects.filter(pk=worker.id).update(heartbeat_at=heard)
        assert list(workers_alive()) == ([worker] if alive else [])
        assert list(workers_silent()) == ([] if alive else [worker])
        assert [offer.worker_class for offer in offers_now() if offer.free_slots] == (
            [worker.worker_class] if alive else []
        )


def test_a_silent_worker_is_buried_and_comes_back_with_a_heartbeat() -> None:
    worker = make_worker()
    assert workers_bury() == 0
    with system_scope():
        long_ago = database_now() - dt.timedelta(minutes=5)
        Worker.objects.filter(pk=worker.id).update(heartbeat_at=long_ago)
    assert workers_bury() == 1
    worker_heartbeat(worker_id=worker.id, busy=0)
    with system_scope():
        assert Worker.objects.get(pk=worker.id).stopped_at is None


def test_a_sealed_snapshot_that_was_never_committed_goes_after_a_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queued_job(make_tenant())
    lease = claimed(make_worker()).lease
    committed = snapshot(lease, 1)
    folder = committed.rsplit("/", 1)[0]
    orphan = default_storage.save(f"{folder}/2", ContentFile(b"x"))
    assert snapshot_orphans_purge() == 0  # it may still be on its way into its transaction
    monkeypatch.setattr(retention, "ORPHAN_AGE", dt.timedelta(0))
    assert snapshot_orphans_purge() == 1
    assert default_storage.exists(committed)
    assert not default_storage.exists(orphan)
