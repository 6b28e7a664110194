"""Facts about jobs."""

from __future__ import annotations

from dataclasses import dataclass

from tenants.kernel.events import Event


@dataclass(frozen=True)
class JobQueued(Event, name="job.queued", aggregate="job_id"):
    """A job waits for a worker: newly submitted, resumed, handed back, or to be tried again."""

    job_id: str
    kind: str
    queue: str


@dataclass(frozen=True)
class JobStarted(Event, name="job.started", aggregate="job_id"):
    job_id: str
    kind: str
    attempt: int  # 1 for the first


@dataclass(frozen=True)
class JobPaused(Event, name="job.paused", aggregate="job_id"):
    job_id: str
    kind: str


@dataclass(frozen=True)
class JobOutOfCredit(Event, name="job.out_of_credit", aggregate="job_id"):
    """More could not be set aside for its next stretch: it pauses at its snapshot."""

    job_id: str
    kind: str
    code: str  # insufficient_credit, budget_exceeded


@dataclass(frozen=True)
class JobSucceeded(Event, name="job.succeeded", aggregate="job_id"):
    job_id: str
    kind: str
    model_version_id: str | None  # what a fine-tune made


@dataclass(frozen=True)
class JobFailed(Event, name="job.failed", aggregate="job_id"):
    job_id: str
    kind: str
    failure_kind: str  # customer, platform, plugin
    code: str


@dataclass(frozen=True)
class JobCancelled(Event, name="job.cancelled", aggregate="job_id"):
    job_id: str
    kind: str
