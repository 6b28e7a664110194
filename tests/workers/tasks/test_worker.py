"""The worker process: claims until there is nothing, accounts for each slot-second, drains."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from decimal import Decimal

import psutil
import pytest

from tenants.costs.models import CostEntry
from tenants.costs.services import resources_ensure
from tenants.kernel.scope import system_scope
from tests.workers.jobs.factories import attempts_of, job_row, make_tenant
from tests.workers.tasks.factories import submit_fine_tune
from tests.workers.waste.factories import staff
from workers.assets.models import BaseModel
from workers.jobs.models import Worker
from workers.jobs.workers import drain_ask, drain_take_back
from workers.tasks.worker import WorkerProcess

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _priced(db: None) -> None:
    with system_scope():
        resources_ensure()


def test_a_worker_runs_what_its_queue_has_and_pays_for_each_second_once(base: BaseModel) -> None:
    tenant = make_tenant()
    jobs = [submit_fine_tune(tenant, epochs=1), submit_fine_tune(tenant, epochs=1)]
    process = WorkerProcess(name="w@test", queue_names=["train.cpu"], slots=1)
    assert process.work("train.cpu") == 2
    assert process.work("train.cpu") == 0
    process.stop()
    assert [job_row(job.id).state for job in jobs] == ["succeeded", "succeeded"]
    with system_scope():
        row = Worker.objects.get(pk=process.row.id)
        entries = list(CostEntry.objects.filter(worker=row.id).order_by("started_at"))
    # then the slot's time is whole, from the start of the process on
    assert (row.queues, row.slots) == (["train.cpu"], 1)
    assert row.stopped_at is not None
    born = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    assert abs((entries[0].started_at - born).total_seconds()) < 0.1
    assert entries[0].purpose == "startup"
    for one, following in itertools.pairwise(entries):
        assert one.ended_at == following.started_at
    # and each job's part is about as long as its attempt
    for job in jobs:
        (attempt,) = attempts_of(job.id)
        paid = sum(e.quantity for e in entries if e.job_id == job.id)
        ran = Decimal((attempt.ended_at - attempt.started_at).total_seconds())
        assert abs(paid - ran) < 1
        labels = next(e.labels for e in entries if e.job_id == job.id)
        assert labels == {"kind": "fine_tune", "base": base.id, "method": "lora"}


def test_a_draining_worker_claims_nothing(base: BaseModel) -> None:
    job = submit_fine_tune(make_tenant())
    process = WorkerProcess(name="w@test", queue_names=["train.cpu"], slots=1)
    process.drain()
    assert process.work("train.cpu") == 0
    process.stop()
    assert job_row(job.id).state == "queued"


def test_a_worker_drains_when_asked_and_claims_again_when_that_is_taken_back(
    base: BaseModel,
) -> None:
    job = submit_fine_tune(make_tenant(), epochs=1)
    process = WorkerProcess(name="w@test", queue_names=["train.cpu"], slots=1)
    with system_scope():
        drain_ask(actor=staff(), worker_id=process.row.id)
    process.beat()
    assert process.work("train.cpu") == 0
    with system_scope():
        assert Worker.objects.get(pk=process.row.id).draining_at is not None
        drain_take_back(actor=staff(), worker_id=process.row.id)
    process.beat()
    with system_scope():
        assert Worker.objects.get(pk=process.row.id).draining_at is None
    assert process.work("train.cpu") == 1
    process.drain()  # its process ends: nobody takes that back
    process.beat()
    assert process.draining.is_set()
    process.stop()
    assert job_row(job.id).state == "succeeded"


def test_a_pulse_that_crosses_the_end_of_the_process_is_made_good_by_the_next() -> None:
    process = WorkerProcess(name="w@test", queue_names=["train.cpu"], slots=1)
    process.drain()
    process.draining.clear()  # a pulse had just read that nobody asks it to drain
    process.beat()
    assert process.draining.is_set()
    process.stop()


def test_more_hints_than_slots_change_nothing() -> None:
    process = WorkerProcess(name="w@test", queue_names=["train.cpu"], slots=0)
    assert process.work("train.cpu") == 0
    process.stop()
