"""Queues with work that nobody may have heard of: a lost hint delays a job by seconds, no more."""

from __future__ import annotations

from django.db.models import Count
from django.db.models.functions import Now

from tenants.kernel.scope import system_scope
from workers.jobs.fleet import workers_alive
from workers.jobs.models import Job
from workers.jobs.states import State


def queues_waiting() -> dict[str, int]:
    """Return how many hints each queue deserves: one per due job, but no more than slots are free.

    A busy worker needs none, since it claims on when a job ends: so hints never pile up in the
    broker, however long the queue and the work.
    """
    with system_scope():
        due = Job.objects.filter(state=State.QUEUED, available_at__lte=Now())
        counts = due.values("queue").annotate(jobs=Count("id")).order_by("queue")
        jobs = {row["queue"]: row["jobs"] for row in counts}
        free = _free_slots() if jobs else {}
    hints = {queue: min(count, free.get(queue, 0)) for queue, count in jobs.items()}
    return {queue: count for queue, count in hints.items() if count}


def _free_slots() -> dict[str, int]:
    """Free slots of the workers that serve each queue, as of their last heartbeats."""
    free: dict[str, int] = {}
    for worker in workers_alive().filter(draining_at=None):
        for queue in worker.queues:
            free[queue] = free.get(queue, 0) + max(worker.slots - worker.busy, 0)
    return free
