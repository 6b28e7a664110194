"""The fence: a worker's write counts only while its token is the job's newest and its attempt is
open.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connections

from tenants.kernel.errors import FencedOut
from tenants.kernel.scope import current_alias
from workers.jobs.models import Attempt, Job
from workers.jobs.states import HELD_BY_WORKER

IDLE_LIMIT_MS = (
    10_000  # a worker that stops within a transaction loses it, and its locks, after this
)


@dataclass(frozen=True)
class Lease:
    """What names one attempt in every write of its worker."""

    job_id: str
    tenant_id: str
    attempt_id: str
    token: int


def token_holds(job: Job, attempt: Attempt, lease: Lease) -> bool:
    """Whether the holder of `lease` may still write."""
    return job.token == lease.token and job.state in HELD_BY_WORKER and attempt.ended_at is None


def job_held(lease: Lease) -> tuple[Job, Attempt]:
    """Lock the job's row and return it with the attempt; the row lock is every job's mutex.

    Raises FencedOut where another attempt has taken over, or this one has ended.
    """
    _limit_idling()
    job = Job.objects.select_for_update(of=("self",)).filter(pk=lease.job_id).first()
    attempt = Attempt.objects.filter(pk=lease.attempt_id).first()
    if job is None or attempt is None or not token_holds(job, attempt, lease):
        raise FencedOut(f"attempt {lease.attempt_id} no longer holds job {lease.job_id}")
    return job, attempt


def _limit_idling() -> None:
    """A stopped worker must not keep the row locked: the database ends its transaction."""
    with connections[current_alias()].cursor() as cursor:
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', %s, true)",
            [f"{IDLE_LIMIT_MS}ms"],
        )
