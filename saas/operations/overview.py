"""The operators' first page: queues, workers, running jobs, what today has cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Min, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from saas.console.columns import as_duration
from saas.console.pages.live import percent
from saas.console.words import COST_PURPOSES, JOB_KINDS
from saas.operations.costs import shown
from tenants.costs.defaults import CURRENCY
from tenants.costs.selectors import CostTotal, Grouping, cost_totals
from tenants.kernel.clock import now
from tenants.kernel.models import OutboxEvent
from tenants.kernel.money import Money
from workers.jobs.models import Job, Worker
from workers.jobs.states import State

SILENT_AFTER = dt.timedelta(seconds=60)  # a worker without a heartbeat for so long is away


@dataclass(frozen=True)
class Queue:
    """One queue: how many jobs wait in it, how many run, for how long the first has waited."""

    name: str
    waiting: int
    running: int
    oldest_s: float | None

    @property
    def oldest(self) -> str:
        return as_duration(self.oldest_s)


@dataclass(frozen=True)
class Fleet:
    """Workers that are heard of, their slots, and how many of these are busy."""

    workers: int
    slots: int
    busy: int

    @property
    def percent(self) -> int:
        return min(100, round(100 * self.busy / self.slots)) if self.slots else 0


def overview(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    machines = fleet()
    return operations.page(
        request,
        "operations/overview.html",
        title=_("Overview"),
        figures=[
            (_("Busy slots"), f"{machines.busy} / {machines.slots}", "jobs_worker_changelist"),
            (_("Running jobs"), _running().count(), "jobs_job_changelist"),
            (_("Undelivered events"), _undelivered(), "kernel_outboxevent_changelist"),
            (_("Cost today"), shown(cost_today()), "costs"),
        ],
        fleet=machines,
        queues=queues(),
        running=[_line(job) for job in _running().select_related("tenant").order_by("-id")[:20]],
        costs=[(COST_PURPOSES.get(p, p), shown(cost)) for p, cost in cost_today_by_purpose()],
    )


def queues() -> list[Queue]:
    """Every queue that has a job, with its depth."""
    open_jobs = Job.objects.filter(finished_at__isnull=True)
    counts = open_jobs.values("queue", "state").annotate(n=Count("id"), first=Min("queued_at"))
    names = sorted({row["queue"] for row in counts})
    return [_queue(name, [row for row in counts if row["queue"] == name]) for name in names]


def _queue(name: str, rows: Iterable[dict[str, Any]]) -> Queue:
    waiting = running = 0
    oldest = None
    for row in rows:
        if row["state"] == State.QUEUED:
            waiting, oldest = row["n"], row["first"]
        elif row["state"] == State.RUNNING:
            running = row["n"]
    waited = (now() - oldest).total_seconds() if oldest else None
    return Queue(name=name, waiting=waiting, running=running, oldest_s=waited)


def fleet() -> Fleet:
    heard = Worker.objects.filter(stopped_at__isnull=True, heartbeat_at__gt=now() - SILENT_AFTER)
    sums = heard.aggregate(n=Count("id"), slots=Sum("slots"), busy=Sum("busy"))
    return Fleet(workers=sums["n"], slots=sums["slots"] or 0, busy=sums["busy"] or 0)


def cost_today() -> Money:
    """What all slots have cost since midnight UTC."""
    return sum((total.cost for total in _today()), Money.zero(CURRENCY))


def cost_today_by_purpose() -> list[tuple[str, Money]]:
    return [(total.group[0], total.cost) for total in _today(("purpose",))]


def _today(group_by: tuple[Grouping, ...] = ()) -> list[CostTotal]:
    midnight = now().astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return cost_totals(group_by=group_by, since=midnight)


def _running() -> Any:
    return Job.objects.filter(state=State.RUNNING)


def _undelivered() -> int:
    return OutboxEvent.objects.filter(delivered_at__isnull=True).count()


def _line(job: Job) -> dict[str, Any]:
    return {
        "job": job,
        "kind": JOB_KINDS.get(job.kind, job.kind),
        "tenant": job.tenant.name,
        "url": reverse("operations:jobs_job_change", args=[job.pk]),
        "percent": percent(job.step, job.steps, succeeded=False),
        "remaining": as_duration(job.remaining_s),
    }
