"""Claiming: a worker takes a queue's next job in fair order, and with it a lease and a token.

Fair order is weighted fair share: each tenant's recent cost-seconds plus a charge for each job that
it has running, divided by its weight. Least first; within a tenant by priority, then age. So a
tenant with a thousand queued jobs delays another's first by one slot at most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.db.models.functions import Now

from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from tenants.kernel.scope import SYSTEM, system_scope
from workers.jobs.events import JobStarted
from workers.jobs.fencing import Lease
from workers.jobs.kinds import KINDS
from workers.jobs.models import Attempt, Cohort, Job
from workers.jobs.moves import job_move, job_say, lease_end, snapshot_step
from workers.jobs.states import Kind, State

WINDOW_S = 3600.0  # how far back use counts
RUNNING_CHARGE_S = 60.0  # what a running job counts beyond what it has used so far


@dataclass(frozen=True)
class Claim:
    """A job that this worker may work on, as it stood when it was claimed.

    `resume_from` is the id of the snapshot that counts ("" for none); `high_step` the furthest step
    that any attempt reached: work up to it is a repetition. `cohort_id` names the shared pass that
    it is a member of ("" where it has a child to itself).
    """

    lease: Lease
    kind: Kind
    queue: str
    spec: Mapping[str, Any]
    number: int
    worker_id: str
    slot: int
    resume_from: str = ""
    high_step: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    cohort_id: str = ""
    cohort_key: str = ""
    update_tokens: float = 0.0


@dataclass(frozen=True)
class Due:
    """A job that may start now; `shares` says whether it may share passes with others."""

    job_id: str
    tenant_id: str
    is_uncapped: bool
    shares: bool


@dataclass
class Asking:
    """Which job is looked for: the next of a queue, or of those that fit a cohort.

    `full` are tenants passed over because their cap is reached, `without` are jobs passed over.
    """

    queue: str
    prices: Mapping[str, float] = field(default_factory=dict)
    cohort_key: str | None = None
    full: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)


# Shares count every queue, since a tenant's whole use is what counts; kinds outside the cap
# (serve) belong to the platform and count for neither. A cohort's members share one slot's time.
# Who failed since its last snapshot runs alone, so that it can spoil nobody else's pass.
_NEXT = """
WITH crew AS (
    SELECT cohort_id, count(*) AS members FROM attempt
    WHERE cohort_id IS NOT NULL
      AND (ended_at IS NULL OR ended_at > clock_timestamp() - %(window)s * interval '1 s')
    GROUP BY cohort_id
), share AS (
    SELECT attempt.tenant_id,
           count(*) FILTER (WHERE attempt.ended_at IS NULL) AS running,
           sum(
               extract(epoch FROM coalesce(attempt.ended_at, clock_timestamp())
                   - greatest(attempt.started_at, clock_timestamp() - %(window)s * interval '1 s'))
               * coalesce((%(prices)s::jsonb ->> worker.worker_class)::double precision, 1)
               / coalesce(crew.members, 1)
           ) AS used_s
    FROM attempt
    LEFT JOIN crew ON crew.cohort_id = attempt.cohort_id
    JOIN job ON job.id = attempt.job_id AND job.kind <> ALL(%(uncapped)s)
    JOIN worker ON worker.id = attempt.worker_id
    WHERE attempt.ended_at IS NULL
       OR attempt.ended_at > clock_timestamp() - %(window)s * interval '1 s'
    GROUP BY attempt.tenant_id
)
SELECT job.id, job.tenant_id, job.kind = ANY(%(uncapped)s), shares.pass
FROM job
JOIN tenant ON tenant.id = job.tenant_id
LEFT JOIN share ON share.tenant_id = job.tenant_id
CROSS JOIN LATERAL (
    SELECT job.cohort_key <> '' AND tenant.shares_passes AND NOT job.failures ? 'platform' AS pass
) shares
WHERE job.state = 'queued' AND job.queue = %(queue)s
  AND job.available_at <= clock_timestamp() AND tenant.status = 'active'
  AND job.tenant_id <> ALL(%(full)s) AND job.id <> ALL(%(without)s)
  AND (%(cohort_key)s::text IS NULL OR (job.cohort_key = %(cohort_key)s AND shares.pass))
  AND (job.kind = ANY(%(uncapped)s) OR coalesce(share.running, 0) < tenant.max_running_jobs)
ORDER BY (coalesce(share.used_s, 0) + %(charge)s * coalesce(share.running, 0)) / tenant.weight,
         job.priority DESC, job.queued_at, job.id
LIMIT 1
FOR UPDATE OF job SKIP LOCKED
"""

_RUNNING = """
SELECT count(*) < (SELECT max_running_jobs FROM tenant WHERE id = %(tenant)s)
FROM attempt JOIN job ON job.id = attempt.job_id
WHERE attempt.tenant_id = %(tenant)s AND attempt.ended_at IS NULL AND job.kind <> ALL(%(uncapped)s)
"""

_UNCAPPED = [kind.value for kind, rules in KINDS.items() if not rules.within_cap]


def claim(
    *,
    worker_id: str,
    slot: int,
    queue: str,
    lease_s: float,
    prices: Mapping[str, float] | None = None,
) -> Claim | None:
    """Take the next job of `queue`, or None where there is none that may start.

    `prices` weigh a slot-second by worker class. A tenant whose cap another claim has just filled
    is passed over.
    """
    asking = Asking(queue, prices or {})
    while True:
        with system_scope():
            found = next_due(asking)
            if found is None:
                return None
            if cap_leaves_room(found):
                return take(
                    found.job_id,
                    worker_id=worker_id,
                    slot=slot,
                    lease_s=lease_s,
                    cohort=_cohort_open(found, worker_id, slot, lease_s) if found.shares else None,
                )
        asking.full.append(found.tenant_id)


def next_due(asking: Asking) -> Due | None:
    """The job in question with its row locked, None where there is none that may start."""
    with connections[SYSTEM].cursor() as cursor:
        cursor.execute(
            _NEXT,
            {
                "queue": asking.queue,
                "full": asking.full,
                "without": asking.without,
                "cohort_key": asking.cohort_key,
                "prices": json.dumps(dict(asking.prices)),
                "uncapped": _UNCAPPED,
                "window": WINDOW_S,
                "charge": RUNNING_CHARGE_S,
            },
        )
        row = cursor.fetchone()
        return Due(*row) if row else None


def cap_leaves_room(due: Due) -> bool:
    """Count again with the tenant's row locked: claims of its jobs pass here one by one."""
    if due.is_uncapped:
        return True
    tenant_id = due.tenant_id
    with connections[SYSTEM].cursor() as cursor:
        cursor.execute("SELECT 1 FROM tenant WHERE id = %s FOR NO KEY UPDATE", [tenant_id])
        cursor.execute(_RUNNING, {"tenant": tenant_id, "uncapped": _UNCAPPED})
        return bool(cursor.fetchone()[0])


def take(
    job_id: str,
    *,
    worker_id: str,
    slot: int,
    lease_s: float = 0.0,
    cohort: Cohort | None = None,
) -> Claim:
    """Open an attempt on a job whose row is locked, under the next token.

    Its lease is its own, of `lease_s`, or that of the `cohort` that it joins.
    """
    job = Job.objects.get(pk=job_id)
    job_move(
        job,
        State.RUNNING,
        token=job.token + 1,
        attempts_made=job.attempts_made + 1,
        started_at=job.started_at or Now(),
        remaining_s=None,
        shares_passes=cohort is not None,
    )
    if cohort is not None and not job.resume_from:
        job_say(job, "It trains in shared passes, as your organisation allows.")
    step = snapshot_step(job)
    attempt: Attempt = Attempt.objects.create(
        id=new_id("att_"),
        tenant_id=job.tenant_id,
        job=job,
        number=job.attempts_made,
        token=job.token,
        worker_id=worker_id,
        slot=slot,
        cohort=cohort,
        lease_expires_at=None if cohort else lease_end(lease_s),
        from_step=step,
        to_step=step,
    )
    emit(JobStarted(tenant_id=job.tenant_id, job_id=job.id, kind=job.kind, attempt=attempt.number))
    return Claim(
        lease=Lease(job.id, job.tenant_id, attempt.id, job.token),
        kind=Kind(job.kind),
        queue=job.queue,
        spec=job.spec,
        number=attempt.number,
        worker_id=worker_id,
        slot=slot,
        resume_from=job.resume_from,
        high_step=job.step,
        failures=job.failures,
        cohort_id=cohort.id if cohort else "",
        cohort_key=job.cohort_key,
        update_tokens=job.update_tokens,
    )


def _cohort_open(due: Due, worker_id: str, slot: int, lease_s: float) -> Cohort:
    """A pass of one that others may join."""
    job = Job.objects.get(pk=due.job_id)
    return Cohort.objects.create(
        id=new_id("coh_"),
        key=job.cohort_key,
        queue=job.queue,
        worker_id=worker_id,
        slot=slot,
        lease_expires_at=lease_end(lease_s),
    )
