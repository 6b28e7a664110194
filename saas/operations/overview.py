"""The operators' first page: queues, workers, running jobs, what today has cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min, Sum
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from saas.console.columns import as_duration
from saas.console.pages.live import percent
from saas.console.words import COST_PURPOSES, JOB_KINDS
from tenants.costs.models import CostEntry
from tenants.kernel.clock import now
from tenants.kernel.models import OutboxEvent
from workers.jobs.models import Attempt, Job, Worker
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
            (_("Cost today"), _money(cost_today()), "costs"),
        ],
        fleet=machines,
        queues=queues(),
        running=[_line(job) for job in _running().select_related("tenant").order_by("-id")[:20]],
        costs=[(COST_PURPOSES.get(p, p), _money(sums)) for p, sums in cost_today_by_purpose()],
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
    sums = heard.aggregate(n=Count("id"), slots=Sum("slots"))
    busy = Attempt.objects.filter(ended_at__isnull=True, worker__in=heard).count()
    return Fleet(workers=sums["n"], slots=sums["slots"] or 0, busy=busy)


def cost_today() -> dict[str, Decimal]:
    """Sums by currency since midnight UTC."""
    rows = _entries_today().values("currency").annotate(total=Sum("amount")).order_by("currency")
    return {row["currency"]: row["total"] for row in rows}


def cost_today_by_purpose() -> list[tuple[str, dict[str, Decimal]]]:
    rows = _entries_today().values("purpose", "currency").annotate(total=Sum("amount"))
    found: dict[str, dict[str, Decimal]] = {}
    for row in rows.order_by("purpose", "currency"):
        found.setdefault(row["purpose"], {})[row["currency"]] = row["total"]
    return list(found.items())


def _entries_today() -> Any:
    midnight = now().astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return CostEntry.objects.filter(started_at__gte=midnight)


def _money(sums: dict[str, Decimal]) -> str:
    return " + ".join(f"{total:.4f} {currency}" for currency, total in sums.items()) or "0"


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
