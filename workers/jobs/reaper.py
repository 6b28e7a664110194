"""Leases that ran out: the attempt is lost, the job goes on elsewhere. Short and repeatable."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Now

from tenants.kernel.scope import system_scope
from workers.jobs.fleet import workers_silent
from workers.jobs.kinds import FailureKind
from workers.jobs.models import Attempt, Cohort, Job
from workers.jobs.moves import attempt_end, job_pause_now, job_try_again
from workers.jobs.states import HELD_BY_WORKER, State

LOST = {
    "code": "worker_lost",
    "message": "the worker stopped answering; this was tried as often as is sensible",
    "param": None,
}
BATCH = 100


def leases_reap() -> int:
    """End the attempts whose lease has run out by the database's clock; return how many.

    One transaction each, and a row that somebody holds is left for the next sweep: a stopped worker
    that sits on its lock keeps nobody else waiting.
    """
    with system_scope():
        # first the cohorts: from here on their workers renew nothing, so all members expire
        Cohort.objects.filter(ended_at=None, lease_expires_at__lt=Now()).update(ended_at=Now())
        lease_end = Coalesce("lease_expires_at", "cohort__lease_expires_at")
        due = list(_expired().order_by(lease_end).values_list("id", "job_id")[:BATCH])
    return sum(_reap(attempt_id, job_id) for attempt_id, job_id in due)


def _reap(attempt_id: str, job_id: str) -> bool:
    with system_scope():
        rows = Job.objects.select_for_update(of=("self",), skip_locked=True)
        job = rows.filter(pk=job_id, state__in=HELD_BY_WORKER).first()
        attempt = _expired().filter(pk=attempt_id).first()
        if job is None or attempt is None:
            return False
        job.token += 1  # from here on the lost worker's writes bounce
        job.save(update_fields=["token"])
        attempt_end(
            attempt, Attempt.Outcome.LOST, failure=FailureKind.PLATFORM, error="the lease ran out"
        )
        if job.state == State.PAUSING:
            job_pause_now(job)
        else:
            job_try_again(job, FailureKind.PLATFORM, LOST)
        return True


def _expired() -> QuerySet[Attempt]:
    """Open attempts whose lease has run out, or whose cohort has ended."""
    over = Q(lease_expires_at__lt=Now()) | Q(cohort__ended_at__isnull=False)
    rows: QuerySet[Attempt] = Attempt.objects.filter(over, ended_at__isnull=True)
    return rows


def workers_bury() -> int:
    """Mark workers that are not heard of any more as stopped; return how many."""
    with system_scope():
        return workers_silent().update(stopped_at=Now())
