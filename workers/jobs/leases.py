"""A worker's right to act, renewed by heartbeats; and what it tells of its progress meanwhile.

Each function raises FencedOut where the lease no longer holds; the worker then kills its child and
leaves. Only the database's clock decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db.models.functions import Now

from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope, tenant_scope
from workers.jobs.fencing import Lease, job_held
from workers.jobs.models import Attempt, Job
from workers.jobs.moves import job_say, lease_end
from workers.jobs.states import State


class Orders(StrEnum):
    """What the platform wants of a running attempt; the heartbeat's answer."""

    GO = "go"
    PAUSE = "pause"
    CANCEL = "cancel"


ORDERS = {State.PAUSING: Orders.PAUSE, State.CANCELLING: Orders.CANCEL}


def renew(*, lease: Lease, lease_s: float) -> Orders:
    """Heartbeat: extend the lease by `lease_s` from now and learn what is wanted."""
    with system_scope():
        job, attempt = job_held(lease)
        attempt.lease_expires_at, attempt.heartbeat_at = lease_end(lease_s), Now()
        attempt.save(update_fields=["lease_expires_at", "heartbeat_at"])
        return ORDERS.get(State(job.state), Orders.GO)


@dataclass(frozen=True)
class Line:
    """One line for the job's story: a message for people, or a point of the curves (`metrics`)."""

    message: str
    level: str = "info"
    event_type: str = "message"
    data: Mapping[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: new_id("ftevent-"))  # so that it is stored once


@dataclass(frozen=True)
class Standing:
    """How far an attempt is: step of steps, the engine's cursor, newest metrics, seconds left."""

    step: int
    steps: int
    cursor: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    remaining_s: float | None = None


def job_beat(*, lease: Lease, standing: Standing | None, lines: Sequence[Line] = ()) -> Orders:
    """Store how far the child is, and what it said. The standing only ever grows.

    Returns what is wanted, as `renew` does, so that orders need not wait for the next renewal.
    """
    with tenant_scope(lease.tenant_id):
        job, attempt = job_held(lease)
        for line in lines:
            job_say(
                job,
                line.message,
                level=line.level,
                event_type=line.event_type,
                data=line.data,
                event_id=line.id,
            )
        if standing is not None:
            _store_standing(job, attempt, standing)
        return ORDERS.get(State(job.state), Orders.GO)


def _store_standing(job: Job, attempt: Attempt, standing: Standing) -> None:
    job.remaining_s, job.steps = standing.remaining_s, standing.steps
    if standing.step >= job.step:
        job.step, job.cursor = standing.step, dict(standing.cursor)
        job.metrics = {**job.metrics, **standing.metrics}
    job.save(update_fields=["remaining_s", "steps", "step", "cursor", "metrics"])
    attempt.to_step, attempt.beat_at = max(attempt.to_step, standing.step), Now()
    attempt.save(update_fields=["to_step", "beat_at"])
