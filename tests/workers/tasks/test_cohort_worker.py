"""Cohorts in worker processes: whose time it was, and what a kill -9 in the middle leaves."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as live

from saas.runtime.layout import ROOT
from tenants.costs.models import CostEntry
from tenants.costs.services import resources_ensure
from tenants.kernel.scope import system_scope
from tenants.pricing.models import Charge
from tests.workers.jobs.factories import attempts_of, job_row, make_worker
from tests.workers.tasks import cohorts as made
from tests.workers.tasks.cohorts import (
    CLOSE,
    LONG,
    alone,
    apart,
    cohorts,
    reset_back_off,
    submit,
    weights,
)
from tests.workers.tasks.factories import sold, start, submit_fine_tune, until
from workers.assets.models import BaseModel
from workers.jobs.models import Cohort, Job
from workers.jobs.reaper import leases_reap
from workers.jobs.states import State
from workers.tasks import worker as worker_module
from workers.tasks.scratch import scratch_sweep
from workers.tasks.worker import WorkerProcess

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _measured(base: BaseModel) -> None:
    made.measure_base()
    with system_scope():
        resources_ensure()


def test_a_cohorts_time_is_whole_and_goes_by_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """One member has five times the other's tokens; loading and storing they share alike."""
    monkeypatch.setattr(worker_module, "PULSE_S", 0.2)
    few = submit_fine_tune(made.sharing_tenant(), rows=48, epochs=20, validation=False)
    many = submit_fine_tune(
        made.sharing_tenant(), rows=240, batch_size=20, epochs=20, validation=False
    )
    process = WorkerProcess(name="w@test", queue_names=["train.cpu"], slots=1)
    assert process.work("train.cpu") == 1  # one claim, two jobs
    process.stop()
    with system_scope():
        entries = list(CostEntry.objects.filter(worker=process.row.id).order_by("started_at"))
    for one, following in itertools.pairwise(entries):
        assert one.ended_at == following.started_at
    paid = {
        job.id: sum((e.quantity for e in entries if e.job_id == job.id), Decimal(0))
        for job in (few, many)
    }
    tokens = {job.id: sold(job.id) for job in (few, many)}
    (cohort,) = cohorts()
    assert cohort.ended_at is not None
    lasted = Decimal((cohort.ended_at - cohort.started_at).total_seconds())
    assert abs(sum(paid.values()) - lasted) < 1
    assert 4 < tokens[many.id] / tokens[few.id] < 6
    assert 1.2 < paid[many.id] / paid[few.id] < 6
    assert {e.labels.get("cohort") for e in entries if e.job_id} == {cohort.id}


@contextmanager
def worker_apart(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process of its own, whose lease is short."""
    settings = {
        "LEASE_S": "3",
        "SCRATCH_DIR": str(live.SCRATCH_DIR),
        "STORAGE_DIR": str(live.STORAGE_DIR),
        "PYTHONPATH": str(ROOT),
    }
    with (tmp_path / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.workers.tasks.worker_process", "train.cpu"],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_after_kill_9_every_member_goes_on_from_its_own_snapshot_and_is_charged_once(
    tmp_path: Path,
) -> None:
    jobs = submit(2, **LONG)
    with worker_apart(tmp_path) as process:
        until(lambda: all(job_row(job.id).step > 45 for job in jobs), what="both under way")
        os.kill(process.pid, signal.SIGKILL)
    until(lambda: leases_reap() == 2, timeout=30, what="the lease's end")
    with system_scope():
        (cohort,) = Cohort.objects.all()
    assert cohort.ended_at is not None
    assert scratch_sweep() >= 1
    assert list(Path(live.SCRATCH_DIR).iterdir()) == []
    snapshots = {job.id: job_row(job.id).resume_from for job in jobs}
    assert all(snapshots.values())
    reset_back_off()
    worker = make_worker(slots=1)
    for _ in jobs:
        start(worker).join()
    for job in jobs:
        first, second = attempts_of(job.id)
        assert (first.outcome, first.cohort_id) == ("lost", cohort.id)
        assert (second.outcome, second.cohort_id) == ("succeeded", None)
        assert second.from_step >= 40
        reference = alone(job, tmp_path)
        assert apart(weights(job.id, tmp_path), reference.weights) < CLOSE
        assert sold(job.id) == reference.sold
        assert charged(job) == reference.charged == job_row(job.id).charged
        assert job_row(job.id).state == State.SUCCEEDED


def charged(job: Job) -> Any:
    """Net of all charges, read from the charges themselves."""
    with system_scope():
        rows = Charge.objects.filter(subject_kind="job", subject_id=job.id)
        return sum((row.net for row in rows), Decimal(0))
