"""Claiming: a worker takes a queue's next job in fair order, and with it a lease and a token.

Fair order is weighted fair share: each tenant's recent cost-seconds plus a charge for each job that
it has running, divided by its weight. Least first; within a tenant by priority, then age. So a
tenant with a thousand queued jobs delays another's first by one slot at most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from workers.jobs.models import Attempt, Job
from workers.jobs.moves import job_move, lease_end, snapshot_step
from workers.jobs.states import Kind, State

WINDOW_S = 3600.0  # how far back use counts
RUNNING_CHARGE_S = 60.0  # what a running job counts beyond what it has used so far


@dataclass(frozen=True)
class Claim:
    """A job that this worker may work on, as it stood when it was claimed.

    `resume_from` is the id of the snapshot that counts ("" for none); `high_step` the furthest step
    that any attempt reached: work up to it is a repetition.
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


# Shares count every queue, since a tenant's whole use is what counts; kinds outside the cap
# (serve) belong to the platform and count for neither.
_NEXT = """
WITH share AS (
    SELECT attempt.tenant_id,
           count(*) FILTER (WHERE attempt.ended_at IS NULL) AS running,
           sum(
               extract(epoch FROM coalesce(attempt.ended_at, clock_timestamp())
                   - greatest(attempt.started_at, clock_timestamp() - %(window)s * interval '1 s'))
               * coalesce((%(prices)s::jsonb ->> worker.worker_class)::double precision, 1)
           ) AS used_s
    FROM attempt
    JOIN job ON job.id = attempt.job_id AND job.kind <> ALL(%(uncapped)s)
    JOIN worker ON worker.id = attempt.worker_id
    WHERE attempt.ended_at IS NULL
       OR attempt.ended_at > clock_timestamp() - %(window)s * interval '1 s'
    GROUP BY attempt.tenant_id
)
SELECT job.id, job.tenant_id, job.kind = ANY(%(uncapped)s)
FROM job
JOIN tenant ON tenant.id = job.tenant_id
LEFT JOIN share ON share.tenant_id = job.tenant_id
WHERE job.state = 'queued' AND job.queue = %(queue)s
  AND job.available_at <= clock_timestamp() AND tenant.status = 'active'
  AND job.tenant_id <> ALL(%(full)s)
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
    full: list[str] = []
    while True:
        with system_scope():
            found = _next(queue, full, prices or {})
            if found is None:
                return None
            job_id, tenant_id, uncapped = found
            if uncapped or _cap_leaves_room(tenant_id):
                return _take(job_id, worker_id=worker_id, slot=slot, lease_s=lease_s)
        full.append(tenant_id)


def _next(
    queue: str, full: Sequence[str], prices: Mapping[str, float]
) -> tuple[str, str, bool] | None:
    with connections[SYSTEM].cursor() as cursor:
        cursor.execute(
            _NEXT,
            {
                "queue": queue,
                "full": list(full),
                "prices": json.dumps(prices),
                "uncapped": _UNCAPPED,
                "window": WINDOW_S,
                "charge": RUNNING_CHARGE_S,
            },
        )
        row: tuple[str, str, bool] | None = cursor.fetchone()
        return row


def _cap_leaves_room(tenant_id: str) -> bool:
    """Count again with the tenant's row locked: claims of its jobs pass here one by one."""
    with connections[SYSTEM].cursor() as cursor:
        cursor.execute("SELECT 1 FROM tenant WHERE id = %s FOR NO KEY UPDATE", [tenant_id])
        cursor.execute(_RUNNING, {"tenant": tenant_id, "uncapped": _UNCAPPED})
        return bool(cursor.fetchone()[0])


def _take(job_id: str, *, worker_id: str, slot: int, lease_s: float) -> Claim:
    """Open an attempt on a job whose row is locked, under the next token."""
    job = Job.objects.get(pk=job_id)
    job_move(
        job,
        State.RUNNING,
        token=job.token + 1,
        attempts_made=job.attempts_made + 1,
        started_at=job.started_at or Now(),
        remaining_s=None,
    )
    step = snapshot_step(job)
    attempt: Attempt = Attempt.objects.create(
        id=new_id("att_"),
        tenant_id=job.tenant_id,
        job=job,
        number=job.attempts_made,
        token=job.token,
        worker_id=worker_id,
        slot=slot,
        lease_expires_at=lease_end(lease_s),
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
    )
