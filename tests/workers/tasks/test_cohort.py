"""Cohorts with a real child, a real engine, a real database: shared passes, separate fates."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from django.conf import settings as live
from django.db import connections

from tenants.kernel.scope import system_scope, tenant_scope
from tests.workers.jobs.factories import (
    actor_of,
    attempts_of,
    job_row,
    make_tenant,
    make_worker,
    messages_of,
)
from tests.workers.tasks import cohorts as made
from tests.workers.tasks.cohorts import (
    CLOSE,
    LONG,
    RunningCohort,
    alone,
    apart,
    cohorts,
    reset_back_off,
    start_cohort,
    submit,
    weights,
)
from tests.workers.tasks.factories import (
    sold,
    start,
    submit_fine_tune,
    until,
)
from workers.assets.models import BaseModel
from workers.jobs.models import Job
from workers.jobs.services import job_cancel, job_pause
from workers.jobs.states import State
from workers.tasks import cohort

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _measured(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    made.measure_base()
    monkeypatch.setattr(cohort, "JOIN_EVERY_S", 0.1)


def reach(running: RunningCohort, job: Job, step: int) -> None:
    until(lambda: running.step_of(job) >= step, what=f"step {step} of {job.id}")


def test_each_member_comes_out_and_is_charged_as_if_alone(tmp_path: Path) -> None:
    jobs = submit(3)
    start_cohort(make_worker(slots=1)).join()
    (only,) = cohorts()
    assert only.ended_at is not None
    for job in jobs:
        (attempt,) = attempts_of(job.id)
        assert (attempt.cohort_id, attempt.lease_expires_at) == (only.id, None)
        reference, row = alone(job, tmp_path), job_row(job.id)
        assert apart(weights(job.id, tmp_path), reference.weights) < CLOSE
        assert sold(job.id) == reference.sold == row.result["trained_tokens"]
        assert (row.charged, row.bound) == (reference.charged, reference.bound)
        assert row.charged > 0
        assert (row.step, row.steps) == (12, 12)
    # and nothing of anybody is left in plain
    assert list(Path(live.SCRATCH_DIR).iterdir()) == []


def test_one_who_does_not_share_is_no_member() -> None:
    mine = submit_fine_tune(make_tenant(), epochs=1)
    theirs, worker = submit(2, epochs=1), make_worker(slots=1)
    start(worker).join()  # first come
    assert attempts_of(mine.id)[0].cohort_id is None
    start_cohort(worker).join()
    assert {attempts_of(job.id)[0].cohort_id for job in theirs} == {cohorts()[0].id}


def test_orders_go_to_one_member_alone() -> None:
    cancelled, paused, stays = jobs = submit(3, **LONG)
    running = start_cohort(make_worker(slots=1))
    for job in jobs:
        reach(running, job, 3)
    for job, change in ((cancelled, job_cancel), (paused, job_pause)):
        with tenant_scope(job.tenant_id):
            change(actor=actor_of(job.tenant), job_id=job.id)
    until(lambda: job_row(cancelled.id).state == State.CANCELLED, what="the cancel")
    until(lambda: job_row(paused.id).state == State.PAUSED, what="the pause")
    assert job_row(stays.id).state == State.RUNNING
    running.join()
    assert job_row(stays.id).state == State.SUCCEEDED
    assert sold(cancelled.id) > 0
    assert job_row(paused.id).resume_from


def test_another_joins_while_it_runs() -> None:
    (first,) = submit(1, **LONG)
    running = start_cohort(make_worker(slots=1))
    reach(running, first, 3)
    (late,) = submit(1, epochs=1)
    running.join()
    assert attempts_of(late.id)[0].cohort_id == attempts_of(first.id)[0].cohort_id
    assert [job_row(job.id).state for job in (first, late)] == [State.SUCCEEDED] * 2


def test_a_members_own_failure_stays_its_own() -> None:
    (good,) = submit(1)
    bad = submit_fine_tune(
        made.sharing_tenant(), learning_rate=99.0, gradient_clip=0.0, optimiser="sgd"
    )
    gone = submit_fine_tune(made.sharing_tenant())
    with system_scope():
        Job.objects.filter(pk=gone.id).update(spec=gone.spec | {"training_file_id": "file-gone"})
    start_cohort(make_worker(slots=1)).join()
    assert job_row(good.id).state == State.SUCCEEDED
    assert job_row(bad.id).state == job_row(gone.id).state == State.FAILED
    assert "learning_rate" in job_row(bad.id).error["message"]
    assert job_row(gone.id).error["code"] == "file_deleted"


@pytest.mark.slow  # the kill -9 of its worker is tried each time
def test_a_child_that_dies_sends_each_on_alone_from_its_own_snapshot(tmp_path: Path) -> None:
    jobs = submit(2, **LONG)
    running = start_cohort(make_worker(slots=1))
    for job in jobs:
        reach(running, job, 30)
    child = running.supervision.watch.child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    running.join()
    assert [job_row(job.id).failures for job in jobs] == [{"platform": 1}] * 2
    reset_back_off()
    for _ in jobs:
        start(make_worker(slots=1)).join()
    for job in jobs:
        first, second = attempts_of(job.id)
        assert (first.outcome, second.outcome, second.cohort_id) == ("failed", "succeeded", None)
        assert second.from_step >= 20
        reference = alone(job, tmp_path)
        assert apart(weights(job.id, tmp_path), reference.weights) < CLOSE
        assert (sold(job.id), job_row(job.id).charged) == (reference.sold, reference.charged)


def test_a_draining_worker_hands_all_back_and_they_share_again() -> None:
    jobs = submit(2, **LONG)
    worker = make_worker(slots=1)
    running = start_cohort(worker)
    for job in jobs:
        reach(running, job, 3)
    running.draining.set()
    running.join()
    assert [job_row(job.id).state for job in jobs] == [State.QUEUED] * 2
    start_cohort(worker).join()
    assert [attempts_of(job.id)[1].outcome for job in jobs] == ["succeeded"] * 2
    assert any("passes are shared" in line for line in messages_of(jobs[0].id))


def test_a_member_that_was_taken_over_leaves_and_the_others_stay() -> None:
    lost, stays = submit(2, **LONG)
    running = start_cohort(make_worker(slots=1))
    for job in (lost, stays):
        reach(running, job, 3)
    with system_scope():
        Job.objects.filter(pk=lost.id).update(token=99)
    until(lambda: lost.id not in running.supervision.talks, what="its leaving")
    running.join()
    assert job_row(stays.id).state == State.SUCCEEDED
    assert job_row(lost.id).state == State.RUNNING  # its new holder's, were there one


BROKEN = """
    CREATE FUNCTION cannot_end() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'this row cannot be written'; END $$;
    CREATE TRIGGER cannot_end BEFORE UPDATE ON job FOR EACH ROW
        WHEN (NEW.state <> OLD.state AND NEW.id = '{job_id}') EXECUTE FUNCTION cannot_end();
"""
MENDED = "DROP TRIGGER cannot_end ON job; DROP FUNCTION cannot_end();"


def test_a_member_whose_failure_cannot_even_be_told_is_left_and_the_others_stay() -> None:
    """Whatever is written of it is refused, also that it failed."""
    broken, stays = submit(2, epochs=1)
    running = start_cohort(make_worker(slots=1))
    until(lambda: len(running.supervision.talks) == 2, what="both")
    with connections["owner"].cursor() as cursor:
        cursor.execute(BROKEN.format(job_id=broken.id))
        try:
            running.join()
        finally:
            cursor.execute(MENDED)
    assert job_row(stays.id).state == State.SUCCEEDED
    assert job_row(broken.id).state == State.RUNNING  # the reaper's, once its lease is over


def test_a_members_story_and_files_tell_of_nobody_else() -> None:
    jobs = submit(2, epochs=1)
    start_cohort(make_worker(slots=1)).join()
    for mine, other in (jobs, jobs[::-1]):
        names = {other.id, other.tenant_id, other.spec["training_file_id"]}
        with tenant_scope(mine.tenant_id):
            rows = [*mine.events.all().values("message", "data"), *mine.snapshots.values()]
            row = Job.objects.get(pk=mine.id)
            shown = repr([rows, row.result, row.metrics, row.cursor])
        assert not any(name in shown for name in names)
