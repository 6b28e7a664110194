"""Our states in OpenAI's words, and what else every job's answer holds. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Any

from workers.jobs.models import Job
from workers.jobs.states import State

STATUSES: dict[State, str] = {
    State.VALIDATING: "validating_files",
    State.QUEUED: "queued",
    State.RUNNING: "running",
    State.PAUSING: "running",
    State.PAUSED: "queued",
    State.CANCELLING: "running",
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}


def status_of(job: Job) -> str:
    """OpenAI's status; `state` beside it tells ours, where paused jobs have a word of their own."""
    return STATUSES[State(job.state)]


def progress_of(job: Job) -> dict[str, Any]:
    """How far a job is: steps, the newest figures, seconds left (null while unknown)."""
    running = job.state == State.RUNNING
    return {
        "step": job.step,
        "steps": job.steps,
        "remaining_seconds": job.remaining_s if running else None,
        "metrics": job.metrics,
        "shared_passes": job.shares_passes,
    }


def estimated_finish(job: Job, now: dt.datetime) -> dt.datetime | None:
    if job.state != State.RUNNING or job.remaining_s is None:
        return None
    return now + dt.timedelta(seconds=job.remaining_s)


def error_of(job: Job) -> dict[str, Any] | None:
    """`{code, message, param}` of a failed job."""
    if job.state != State.FAILED or not job.error:
        return None
    return {
        "code": job.error.get("code") or "failed",
        "message": job.error.get("message") or "The job failed.",
        "param": job.error.get("param"),
    }
