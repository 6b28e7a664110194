"""The operators' first page: queues, workers, running jobs, what today has cost."""

from __future__ import annotations

import datetime as dt
from typing import Any

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
from workers.jobs.fleet import fleet, queues
from workers.jobs.models import Job
from workers.jobs.states import State


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
        queues=[(queue, as_duration(queue.oldest_s)) for queue in queues()],
        running=[_line(job) for job in _running().select_related("tenant").order_by("-id")[:20]],
        costs=[(COST_PURPOSES.get(p, p), shown(cost)) for p, cost in cost_today_by_purpose()],
    )


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
