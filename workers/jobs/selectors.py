"""Reads of jobs, in the scope in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from tenants.kernel.errors import NotFound
from tenants.pricing.models import Quote
from tenants.pricing.selectors import quotes_visible
from workers.jobs.models import Attempt, Checkpoint, Job, JobEvent, Snapshot
from workers.jobs.states import Kind


def job_get(job_id: str, kind: Kind | None = None) -> Job:
    """Return a job, of `kind` where one is named. Raises NotFound."""
    job: Job | None = _jobs(kind).filter(pk=job_id).first()
    if job is None:
        raise NotFound(f"no job {job_id!r}", param="job_id", code="job_not_found")
    return job


def quote_get(quote_id: str) -> Quote:
    """Return a quote. Raises NotFound."""
    row: Quote | None = quotes_visible().filter(pk=quote_id).first()
    if row is None:
        raise NotFound(f"no quote {quote_id!r}", param="quote_id", code="quote_not_found")
    return row


def jobs_visible(
    kind: Kind | None = None, *, metadata: Mapping[str, str] | None = None
) -> QuerySet[Job]:
    """Jobs, newest first; with all of these labels where some are named."""
    rows = _jobs(kind).order_by("-id")
    return rows.filter(metadata__contains=dict(metadata)) if metadata else rows


def job_events(job_id: str) -> QuerySet[JobEvent]:
    """A job's story, newest first."""
    rows: QuerySet[JobEvent] = JobEvent.objects.filter(job_id=job_id).order_by("-id")
    return rows


def job_checkpoints(job_id: str) -> QuerySet[Checkpoint]:
    """Usable models of its epochs' ends, newest first."""
    rows: QuerySet[Checkpoint] = Checkpoint.objects.filter(job_id=job_id).order_by("-step", "-id")
    return rows


def job_attempts(job_id: str) -> QuerySet[Attempt]:
    rows: QuerySet[Attempt] = Attempt.objects.filter(job_id=job_id).order_by("number")
    return rows


def snapshot_get(snapshot_id: str) -> Snapshot:
    """Return a snapshot that still has its bytes. Raises NotFound."""
    row: Snapshot | None = Snapshot.objects.filter(pk=snapshot_id, deleted_at=None).first()
    if row is None:
        raise NotFound(f"no snapshot {snapshot_id!r}")
    return row


def jobs_page(
    *, after: str | None = None, limit: int = 20, kind: Kind | None = None, **filters: Any
) -> tuple[list[Job], bool]:
    """At most `limit` jobs older than `after`, newest first, and whether there are more."""
    return _page(jobs_visible(kind).filter(**filters), after, limit)


def job_events_page(
    job_id: str, *, after: str | None = None, limit: int = 20
) -> tuple[list[JobEvent], bool]:
    return _page(job_events(job_id), after, limit)


def job_checkpoints_page(
    job_id: str, *, after: str | None = None, limit: int = 10
) -> tuple[list[Checkpoint], bool]:
    """As `jobs_page`; checkpoints are made in the order of their steps, so their ids sort alike."""
    rows = job_checkpoints(job_id).order_by("-id")
    return _page(rows, after, limit)


def _jobs(kind: Kind | None) -> QuerySet[Job]:
    rows: QuerySet[Job] = Job.objects.all()
    return rows.filter(kind=kind) if kind else rows


def _page(rows: QuerySet[Any], after: str | None, limit: int) -> tuple[list[Any], bool]:
    found = list((rows.filter(pk__lt=after) if after else rows)[: limit + 1])
    return found[:limit], len(found) > limit
