"""A fine-tune in two processes, from its job to its model, and the death of one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.workers.jobs.factories import attempts_of, job_row, make_tenant, make_worker
from tests.workers.tasks.factories import start, submit_fine_tune, until
from tests.workers.tasks.test_supervise import child_of, outcome_of, reference, run_again
from workers.assets.models import BaseModel
from workers.jobs.states import State

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.timeout(900)]

# as many steps as leave time to kill; no dropout, whose masks go by the passes
JOB: dict[str, Any] = {
    "rows": 96,
    "batch_size": 2,
    "snapshot_every_steps": 5,
    "lora": {"rank": 4, "alpha": 8.0},
}
PATIENCE_S = 300  # three processes load torch, on whatever machine
SAME = 1e-4  # relative: another order of fp32's sums over 96 steps, see engine/distributed


def ranks_of(pid: int) -> list[psutil.Process]:
    """The processes that a child has started, in the order of their ranks."""
    found = [p for p in psutil.Process(pid).children() if "workers.tasks.rank_child" in p.cmdline()]
    return sorted(found, key=lambda process: process.environ()["RANK"])


def test_a_job_that_asks_for_two_processes_survives_the_death_of_one(
    base: BaseModel, tmp_path: Path, settings: Any
) -> None:
    settings.WORKER_PROCESSES = 2
    wanted, tokens = reference(tmp_path, **JOB)
    job = submit_fine_tune(make_tenant(), **JOB, processes=2)
    # given a run in two processes that has stored a snapshot
    running = start(make_worker())
    until(lambda: running.supervision.position[:1] >= (8,), timeout=PATIENCE_S, what="step 8")
    _, second = until(lambda: ranks_of(child_of(running).pid)[:2], what="two processes")
    # when the second one is killed
    second.kill()
    running.join(PATIENCE_S)
    # then the attempt ends with a reason that says which, no process is left, and the job waits
    assert not psutil.pid_exists(second.pid)
    (attempt,) = attempts_of(job.id)
    assert "process 2 of 2 was ended by SIGKILL" in str(attempt.error)
    assert job_row(job.id).state == State.QUEUED
    # and the next attempt, by one process, goes on from the snapshot of the two
    settings.WORKER_PROCESSES = 1
    run_again(job.id)
    found, sold = outcome_of(job.id, tmp_path / "made")
    assert attempts_of(job.id)[-1].from_step in range(5, 191, 5)
    for name, weight in wanted.items():
        assert float((found[name] - weight).norm()) <= SAME * float(weight.norm()), name
    assert sold == tokens
