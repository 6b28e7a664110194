"""The console's first page: what runs, what was used, what there is."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from saas.console.asking import allowed
from saas.console.columns import as_number
from saas.console.figures import DAYS, daily_usage, stacked_days
from saas.console.pages.live import standing
from saas.console.pages.money_figures import money_figures
from workers.assets.models import File, ModelVersion
from workers.assets.selectors import versions_visible
from workers.jobs.models import Job
from workers.jobs.selectors import jobs_visible
from workers.jobs.states import Kind
from workers.serving.selectors import deployments_visible

RECENT = 6


def overview(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    rows = daily_usage(prefix="tokens.")
    total = sum((row.quantity for row in rows), start=0)
    return console.page(
        request,
        "console/overview.html",
        title=_("Overview"),
        figures=[
            *money_figures(request),
            (_("Live jobs"), len(live := _live_jobs()), "console:jobs_job_changelist"),
            (_("Tokens in 30 days"), as_number(total), "console:usage"),
            (_("Models"), _models(), "console:assets_modelversion_changelist"),
            (_("Deployments"), _deployments(), "console:serving_deployment_changelist"),
        ],
        live_jobs=live,
        recent_jobs=[_line(job) for job in _jobs()[:RECENT]],
        usage_chart=stacked_days(rows, days=DAYS),
        has_usage=bool(rows),
        first_steps=_first_steps(talked=bool(rows)) if allowed(request, "jobs.write") else [],
    )


def _jobs() -> QuerySet[Job]:
    """What was asked for; serving is the platform's own."""
    return jobs_visible().exclude(kind=Kind.SERVE)


def _live_jobs() -> list[dict[str, Any]]:
    return [_line(job) for job in _jobs().filter(finished_at__isnull=True)[:20]]


def _line(job: Job) -> dict[str, Any]:
    from saas.console.lists.jobs import job_name

    return {
        "name": job_name(job),
        "url": reverse("console:jobs_job_change", args=[job.pk]),
        "live": standing(job),
    }


def _models() -> int:
    return int(versions_visible().filter(is_checkpoint=False).count())


def _deployments() -> int:
    return int(deployments_visible().count())


def _first_steps(*, talked: bool) -> list[tuple[Any, str, bool]]:
    """What a new organisation does first; empty once it has a model."""
    if ModelVersion.objects.exists():
        return []
    return [
        (_("Upload examples"), reverse("console:assets_file_changelist"), File.objects.exists()),
        (_("Start a fine-tune"), reverse("console:fine_tune"), Job.objects.exists()),
        (_("Talk to a model"), reverse("console:playground"), talked),
    ]
