"""Tenants, what things cost, and the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.filters import choice_filter
from saas.console.lists.models import BaseModelAdmin as ConsoleBaseModelAdmin
from saas.console.readonly import Section
from saas.console.words import COST_PURPOSES, JOB_KINDS, JOB_STATES, TENANT_STATES
from saas.operations.lists.standing import STANDING_ACTS
from saas.operations.lists.work import OperatorAdmin, job_link
from tenants.accounts.models import Tenant
from workers.jobs.models import Job

_state = show.badge("status", _("State"), TENANT_STATES)


class TenantAdmin(OperatorAdmin):
    title = _("Tenants")
    acts = STANDING_ACTS
    list_display = (
        show.text("name", _("Name"), sort=True),
        show.code("slug", _("Short name")),
        _state,
        show.number("max_running_jobs", _("Jobs at once")),
        show.number("weight", _("Share")),
        show.moment("created_at", _("Since")),
    )
    list_filter = (choice_filter("status", _("State"), TENANT_STATES),)
    search_fields = ("id", "name", "slug")
    details = (show.code("id", _("Id")), *list_display)

    def sections(self, request: HttpRequest, row: Tenant) -> Sequence[Section]:
        del request
        jobs = Job.objects.filter(tenant=row).order_by("-id")[:50]
        return [Section(_("Newest jobs"), _JOB_COLUMNS, list(jobs))]


_JOB_COLUMNS = (
    show.column(lambda job: job_link(job.pk), _("Id")),
    show.word("kind", _("Kind"), JOB_KINDS),
    show.badge("state", _("State"), JOB_STATES),
    show.moment("created_at", _("Created")),
    show.moment("finished_at", _("Finished")),
)


def _amount(row: Any) -> str:
    return f"{row.amount.normalize():f} {row.currency}"


COST_COLUMNS = (
    show.word("purpose", _("For"), COST_PURPOSES),
    show.text("resource_id", _("Resource")),
    show.column(lambda row: job_link(row.job_id) if row.job_id else None, _("Job")),
    show.number("quantity", _("Quantity"), sort=True),
    show.column(_amount, _("Amount"), order="amount"),
    show.text("worker", _("Worker")),
    show.moment("started_at", _("From")),
    show.moment("ended_at", _("To")),
)


class CostEntryAdmin(OperatorAdmin):
    title = _("Cost entries")
    intro = _("Every second of every worker slot, and whom it was for. Nothing is ever changed.")
    ordering = ("-started_at",)
    list_display = COST_COLUMNS
    list_display_links = None
    list_filter = (choice_filter("purpose", _("For"), COST_PURPOSES),)
    search_fields = ("job_id", "tenant_id", "worker")
    details = (show.code("id", _("Id")), *COST_COLUMNS, show.code("key", _("Key")))


class RateAdmin(OperatorAdmin):
    title = _("Rates")
    intro = _("What a unit of each resource costs us, from when on.")
    ordering = ("resource_id", "-valid_from")
    list_display = (
        show.text("resource_id", _("Resource")),
        show.text("resource.unit", _("Unit")),
        show.text("kind", _("Kind")),
        show.column(_amount, _("Amount"), order="amount"),
        show.moment("valid_from", _("From")),
    )
    list_select_related = ("resource",)
    details = list_display


class BaseModelAdmin(ConsoleBaseModelAdmin):
    reads = "operations"
    details = (
        *ConsoleBaseModelAdmin.details,
        show.derived("profile", _("Measured"), show.as_pairs),
    )
