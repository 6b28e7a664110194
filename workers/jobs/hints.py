"""Queues with work that nobody may have heard of: a lost hint delays a job by seconds, no more."""

from __future__ import annotations

from django.db.models import Count
from django.db.models.functions import Now

from tenants.kernel.scope import system_scope
from workers.jobs.models import Job
from workers.jobs.states import State

MAX_HINTS = 16  # per queue and round


def queues_waiting() -> dict[str, int]:
    """Return how many hints each queue deserves: one per job that may start now, up to a bound."""
    with system_scope():
        rows = Job.objects.filter(state=State.QUEUED, available_at__lte=Now())
        counts = rows.values("queue").annotate(jobs=Count("id")).order_by("queue")
        return {row["queue"]: min(row["jobs"], MAX_HINTS) for row in counts}
