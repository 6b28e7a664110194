"""Small moves of rows that claims, leases, services and the reaper share.

The job's row is locked.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.db.models import Expression
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from tenants.kernel.errors import InsufficientCredit, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from workers.jobs.events import JobCancelled, JobFailed, JobOutOfCredit, JobPaused, JobQueued
from workers.jobs.kinds import KINDS, FailureKind, retry_delay_s
from workers.jobs.models import Attempt, Job, JobEvent, Snapshot
from workers.jobs.money import job_close, job_cover
from workers.jobs.states import FINAL, Kind, State, check_move


def job_locked(job_id: str) -> Job:
    """Return a job of the scope with its row locked. Raises NotFound."""
    job: Job | None = Job.objects.select_for_update(of=("self",)).filter(pk=job_id).first()
    if job is None:
        raise NotFound(f"no job {job_id!r}", param="job_id", code="job_not_found")
    return job


def job_move(job: Job, state: State, *, failure: FailureKind | None = None, **fields: Any) -> None:
    """Put a locked job into `state`; at its end, of whatever kind, its hold is settled.

    Raises Conflict where the state machine forbids it.
    """
    check_move(job.state, state)
    if state in FINAL:
        job_close(job, failure)
    job.state = state
    for name, value in fields.items():
        setattr(job, name, value)
    job.save(update_fields=["state", *fields])
    expressions = [name for name, value in fields.items() if isinstance(value, Expression)]
    if expressions:
        job.refresh_from_db(fields=expressions)


def job_say(
    job: Job,
    message: str,
    *,
    level: str = "info",
    event_type: str = "message",
    data: Mapping[str, Any] | None = None,
    event_id: str = "",
) -> None:
    """Add a line to the job's own story, unless one with this `event_id` is there already."""
    line = JobEvent(
        id=event_id or new_id("ftevent-"),
        tenant_id=job.tenant_id,
        job_id=job.pk,
        level=level,
        type=event_type,
        message=message[:2000],
        data=dict(data or {}),
    )
    JobEvent.objects.bulk_create([line], ignore_conflicts=True)


def lease_end(lease_s: float) -> CombinedExpression:
    """`lease_s` from now, by the database's clock."""
    return Now() + dt.timedelta(seconds=lease_s)


def snapshot_step(job: Job) -> int:
    """The step that the next attempt will start from."""
    if not job.resume_from:
        return 0
    return int(Snapshot.objects.values_list("step", flat=True).get(pk=job.resume_from))


def attempt_end(
    attempt: Attempt,
    outcome: Attempt.Outcome,
    *,
    failure: FailureKind | None = None,
    error: str = "",
) -> None:
    """Close an attempt: its outcome, and what went wrong with it, if anything did."""
    attempt.ended_at = Now()
    attempt.outcome = outcome
    attempt.failure_kind = failure.value if failure else ""
    attempt.error = error[:4000]
    attempt.save(update_fields=["ended_at", "outcome", "failure_kind", "error"])


def job_queue(job: Job, *, delay_s: float = 0.0) -> None:
    """Let the job wait for a worker, not before `delay_s`."""
    job_move(
        job,
        State.QUEUED,
        available_at=Now() + dt.timedelta(seconds=delay_s),
        queued_at=job.queued_at or Now(),
    )
    emit(JobQueued(tenant_id=job.tenant_id, job_id=job.id, kind=job.kind, queue=job.queue))


def job_pause_now(job: Job) -> None:
    job_move(job, State.PAUSED)
    job_say(job, "The job is paused.")
    emit(JobPaused(tenant_id=job.tenant_id, job_id=job.id, kind=job.kind))


def job_look_ahead(job: Job) -> None:
    """Set aside what the job needs to go on; without credit for it, order the job to pause."""
    try:
        job_cover(job)
    except InsufficientCredit as error:
        if job.state != State.RUNNING:
            return  # pausing already, or cancelled
        job_move(job, State.PAUSING)
        why = f"The job pauses at this snapshot: {error.message}. Top up, then resume it."
        job_say(job, why, level="warn", data={"code": error.code})
        emit(JobOutOfCredit(tenant_id=job.tenant_id, job_id=job.id, kind=job.kind, code=error.code))


def job_cancel_now(job: Job) -> None:
    job_move(job, State.CANCELLED, finished_at=Now(), remaining_s=None)
    job_say(job, "The job was cancelled.")
    emit(JobCancelled(tenant_id=job.tenant_id, job_id=job.id, kind=job.kind))


def job_fail_now(job: Job, failure: FailureKind, error: Mapping[str, Any]) -> None:
    """End the job as failed. `error` holds code, message and param."""
    job_move(
        job,
        State.FAILED,
        failure=failure,
        error=dict(error),
        finished_at=Now(),
        remaining_s=None,
    )
    job_say(job, f"The job failed: {error['message']}", level="error")
    emit(
        JobFailed(
            tenant_id=job.tenant_id,
            job_id=job.id,
            kind=job.kind,
            failure_kind=failure.value,
            code=str(error["code"]),
        )
    )


def job_try_again(job: Job, failure: FailureKind, error: Mapping[str, Any]) -> None:
    """After a failed attempt: queue the job anew with back-off, or fail it where the cap is
    reached.

    An order that came meanwhile is obeyed instead: a cancelled job ends, a pausing one pauses.
    """
    if job.state == State.CANCELLING:
        job_cancel_now(job)
        return
    failures = dict(job.failures)
    failures[failure.value] = failures.get(failure.value, 0) + 1
    job.failures = failures
    job.save(update_fields=["failures"])
    count, cap = failures[failure.value], KINDS[Kind(job.kind)].tries[failure]
    if count >= cap:
        job_fail_now(job, failure, error)
    elif job.state == State.PAUSING:
        job_pause_now(job)
    else:
        job_say(job, f"Attempt {job.attempts_made} ended early; trying again.", level="warn")
        job_queue(job, delay_s=retry_delay_s(count))
