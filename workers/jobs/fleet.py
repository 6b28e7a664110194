"""Reads of workers and queues, across tenants: for operators, the doctor and the hints.

In the system's scope.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Count, Min, Prefetch, Q, QuerySet, Sum
from django.db.models.functions import Now

from tenants.accounts.models import Tenant
from tenants.kernel.clock import now
from workers.jobs.models import Attempt, Cohort, Job, Worker
from workers.jobs.states import HELD_BY_WORKER, State

SILENT_S = 60.0  # unheard of for so long, a worker is taken for gone; `worker_offers()` says it too


@dataclass(frozen=True)
class Fleet:
    """Workers that are heard of, their slots, and how many of these are busy."""

    workers: int
    slots: int
    busy: int

    @property
    def percent(self) -> int:
        return min(100, round(100 * self.busy / self.slots)) if self.slots else 0


@dataclass(frozen=True)
class Queue:
    """One queue: how many jobs wait in it, how many hold a slot, how long the first has waited."""

    name: str
    waiting: int
    running: int
    oldest_s: float | None


def workers_alive() -> QuerySet[Worker]:
    """Those that have not stopped and were heard of lately; draining ones too."""
    heard = Now() - dt.timedelta(seconds=SILENT_S)
    rows: QuerySet[Worker] = Worker.objects.filter(stopped_at=None, heartbeat_at__gte=heard)
    return rows


def workers_silent() -> QuerySet[Worker]:
    """Those that never said that they stop, but are not heard of."""
    heard = Now() - dt.timedelta(seconds=SILENT_S)
    rows: QuerySet[Worker] = Worker.objects.filter(stopped_at=None, heartbeat_at__lt=heard)
    return rows


def fleet() -> Fleet:
    sums = workers_alive().aggregate(n=Count("id"), slots=Sum("slots"), busy=Sum("busy"))
    return Fleet(workers=sums["n"], slots=sums["slots"] or 0, busy=sums["busy"] or 0)


def cohorts() -> QuerySet[Cohort]:
    """Cohorts, each with its members' attempts in `crew`."""
    crew = Prefetch("attempts", Attempt.objects.order_by("started_at", "id"), to_attr="crew")
    rows: QuerySet[Cohort] = Cohort.objects.prefetch_related(crew)
    return rows


def slots_free(queue: str) -> int:
    """Slots that would take a job of `queue` at once, by the attempts that are open now."""
    open_ones = Q(attempts__ended_at=None, attempts__id__isnull=False)
    rows = workers_alive().filter(draining_at=None, queues__contains=[queue])
    counts = rows.annotate(used=Count("attempts__slot", distinct=True, filter=open_ones))
    return sum(max(worker.slots - worker.used, 0) for worker in counts)


def jobs_due(queue: str) -> int:
    """How many jobs of `queue` wait for a slot."""
    due = Job.objects.filter(state=State.QUEUED, queue=queue, available_at__lte=Now())
    return int(due.filter(tenant__status=Tenant.Status.ACTIVE).count())


def queues() -> list[Queue]:
    """Every queue with unfinished jobs, by name."""
    waits = Q(state=State.QUEUED)
    rows = Job.objects.filter(finished_at__isnull=True).values("queue").order_by("queue")
    counts = rows.annotate(
        waiting=Count("id", filter=waits),
        running=Count("id", filter=Q(state__in=HELD_BY_WORKER)),
        oldest=Min("queued_at", filter=waits),
    )
    at = now()
    return [
        Queue(
            name=row["queue"],
            waiting=row["waiting"],
            running=row["running"],
            oldest_s=(at - row["oldest"]).total_seconds() if row["oldest"] else None,
        )
        for row in counts
    ]
