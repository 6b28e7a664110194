"""Jobs, attempts, workers, replicas, the outbox: how the work goes, not what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.filters import choice_filter
from saas.console.readonly import Act, ReadOnlyAdmin, Section
from saas.console.words import JOB_KINDS, JOB_STATES, OUTCOMES, Word
from saas.operations.costs import shown
from tenants.costs.models import CostEntry
from tenants.costs.selectors import job_cost, job_cost_per_million_tokens
from workers.jobs.fleet import cohorts
from workers.jobs.models import Attempt, Cohort, Job, Worker
from workers.jobs.services import job_cancel

WORKER_STATES: dict[str, Word] = {
    "running": _("Running"),
    "draining": _("Draining"),
    "stopped": _("Stopped"),
}
REPLICA_STATES: dict[str, Word] = {
    "starting": _("Starting"),
    "ready": _("Ready"),
    "draining": _("Draining"),
    "stopped": _("Stopped"),
}
ATTEMPT_STATES = {**OUTCOMES, "running": OUTCOMES[""]}
_ENDINGS = {value: text for value, text in OUTCOMES.items() if value}


def job_link(job_id: str) -> Any:
    url = reverse("operations:jobs_job_change", args=[job_id])
    return format_html('<a class="bw-link" href="{}">{}</a>', url, job_id)


def _worker_state(worker: Worker) -> Any:
    state = "stopped" if worker.stopped_at else "draining" if worker.draining_at else "running"
    return show.as_badge(state, WORKER_STATES)


_outcome = show.column(
    lambda row: show.as_badge(row.outcome or "running", ATTEMPT_STATES), _("Outcome")
)
_job_state = show.badge("state", _("State"), JOB_STATES)
_tenant = show.text("tenant.name", _("Tenant"), sort=True)
_ATTEMPT = (
    show.column(lambda row: job_link(row.job_id), _("Job")),
    show.number("number", _("Attempt")),
    _outcome,
    show.text("worker.name", _("Worker")),
    show.number("slot", _("Slot")),
    show.number("from_step", _("From step")),
    show.number("to_step", _("To step")),
    show.moment("started_at", _("Started")),
    show.moment("ended_at", _("Ended")),
)


_MEMBER = (
    show.column(lambda row: job_link(row.job_id), _("Job")),
    _tenant,
    _outcome,
    show.number("from_step", _("From step")),
    show.number("to_step", _("To step")),
    show.moment("started_at", _("Started")),
    show.moment("ended_at", _("Ended")),
)


def _crew(cohort_id: str) -> list[Attempt]:
    """The attempts that share passes, in the order in which they came in."""
    rows = Attempt.objects.filter(cohort_id=cohort_id).select_related("tenant", "job")
    return list(rows.order_by("started_at", "id"))


class OperatorAdmin(ReadOnlyAdmin):
    """Open to every operator: the site lets nobody else in."""

    reads = "operations"


def _cancel(request: HttpRequest, job_id: str) -> Job:
    return job_cancel(actor=actor_of(request), job_id=job_id)


def _cost(job: Job) -> str:
    return shown(job_cost(job.pk))


def _cost_per_million(job: Job) -> str:
    return shown(job_cost_per_million_tokens(job.pk).per_million)


class JobAdmin(OperatorAdmin):
    title = _("Jobs")
    list_display = (
        show.column(lambda job: show.as_code(job.pk), _("Id")),
        _tenant,
        show.word("kind", _("Kind"), JOB_KINDS),
        _job_state,
        show.text("queue", _("Queue")),
        show.number("attempts_made", _("Attempts")),
        show.moment("created_at", _("Created")),
        show.moment("finished_at", _("Finished")),
    )
    list_filter = (
        choice_filter("state", _("State"), JOB_STATES),
        choice_filter("kind", _("Kind"), JOB_KINDS),
    )
    list_select_related = ("tenant",)
    search_fields = ("id", "tenant__name", "tenant__slug")
    details = (
        show.code("id", _("Id")),
        _tenant,
        show.word("kind", _("Kind"), JOB_KINDS),
        _job_state,
        show.text("queue", _("Queue")),
        show.number("priority", _("Priority")),
        show.number("step", _("Step")),
        show.number("steps", _("Steps")),
        show.derived("remaining_s", _("Remaining"), show.as_duration),
        show.number("token", _("Fencing token")),
        show.number("attempts_made", _("Attempts")),
        show.derived("failures", _("Failures"), show.as_pairs),
        show.column(lambda job: (job.error or {}).get("code"), _("Error")),
        show.column(_cost, _("Cost")),
        show.column(_cost_per_million, _("Cost of a million trained tokens")),
        show.moment("created_at", _("Created")),
        show.moment("available_at", _("Not before")),
        show.moment("started_at", _("Started")),
        show.moment("finished_at", _("Finished")),
    )

    acts = (
        Act(
            name="cancel",
            label=_("Cancel"),
            permission="jobs.write",
            run=_cancel,
            done=_("The job is being cancelled."),
            offered=lambda job: job.finished_at is None,
            danger=True,
            confirm=_("Cancel this job? It cannot be taken up again."),
        ),
    )

    def heading(self, row: Job) -> str:
        return row.pk

    def sections(self, request: HttpRequest, row: Job) -> Sequence[Section]:
        del request
        from saas.operations.lists.business import COST_COLUMNS

        attempts = Attempt.objects.filter(job=row).select_related("worker").order_by("number")
        newest = attempts.last()
        crew = _crew(newest.cohort_id) if newest and newest.cohort_id else []
        entries = CostEntry.objects.filter(job_id=row.pk).order_by("started_at")[:200]
        return [
            Section(_("Attempts"), _ATTEMPT, list(attempts)),
            *([Section(_("Cohort"), _MEMBER, crew)] if crew else []),
            Section(_("Costs"), COST_COLUMNS, list(entries)),
        ]


class AttemptAdmin(OperatorAdmin):
    title = _("Attempts")
    list_display = _ATTEMPT
    list_display_links = None
    list_filter = (choice_filter("outcome", _("Outcome"), _ENDINGS),)
    list_select_related = ("worker",)
    search_fields = ("id", "job__id", "worker__name")
    details = (
        *_ATTEMPT,
        show.text("failure_kind", _("Whose failure")),
        show.number("token", _("Fencing token")),
        show.moment("heartbeat_at", _("Heartbeat")),
        show.moment("lease_expires_at", _("Lease until")),
    )


class CohortAdmin(OperatorAdmin):
    title = _("Cohorts")
    intro = _("Fine-tunes of several tenants that one slot computes in shared passes.")
    list_display = (
        show.code("id", _("Id")),
        show.text("key", _("In common")),
        show.column(lambda row: len(row.crew), _("Members")),
        show.column(lambda row: sum(not each.ended_at for each in row.crew), _("Training now")),
        show.text("worker.name", _("Worker")),
        show.moment("started_at", _("Started")),
        show.moment("ended_at", _("Ended")),
    )
    ordering = ("-started_at",)
    list_select_related = ("worker",)
    search_fields = ("id", "key", "attempts__job__id")
    details = (
        *list_display,
        show.text("queue", _("Queue")),
        show.number("slot", _("Slot")),
        show.moment("heartbeat_at", _("Heartbeat")),
        show.moment("lease_expires_at", _("Lease until")),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        del request
        return cohorts()

    def sections(self, request: HttpRequest, row: Cohort) -> Sequence[Section]:
        del request
        return [Section(_("Members"), _MEMBER, _crew(row.pk))]


class WorkerAdmin(OperatorAdmin):
    title = _("Workers")
    list_display = (
        show.text("name", _("Name"), sort=True),
        show.text("worker_class", _("Class"), sort=True),
        show.column(_worker_state, _("State")),
        show.number("slots", _("Slots")),
        show.derived("queues", _("Queues"), ", ".join),
        show.moment("heartbeat_at", _("Heartbeat")),
        show.moment("started_at", _("Started")),
    )
    search_fields = ("id", "name", "host")
    details = (
        show.code("id", _("Id")),
        *list_display,
        show.text("host", _("Host")),
        show.number("pid", _("Process")),
        show.moment("draining_at", _("Draining since")),
        show.moment("stopped_at", _("Stopped")),
    )

    def sections(self, request: HttpRequest, row: Worker) -> Sequence[Section]:
        del request
        attempts = Attempt.objects.filter(worker=row).select_related("worker").order_by("-id")
        return [Section(_("Newest attempts"), _ATTEMPT, list(attempts[:50]))]


class ReplicaAdmin(OperatorAdmin):
    title = _("Replicas")
    list_display = (
        show.text("target", _("Serves")),
        show.badge("state", _("State"), REPLICA_STATES),
        show.text("address", _("Address")),
        show.derived("adapters", _("Adapters"), len),
        show.column(lambda row: job_link(row.job_id), _("Job")),
        show.moment("heartbeat_at", _("Heartbeat")),
        show.moment("started_at", _("Started")),
    )
    list_filter = (choice_filter("state", _("State"), REPLICA_STATES),)
    details = (
        show.code("id", _("Id")),
        *list_display,
        show.moment("stopped_at", _("Stopped")),
    )


class OutboxAdmin(OperatorAdmin):
    """Names and ids only: what an event carries is its tenant's."""

    title = _("Outbox")
    intro = _("Events on their way to their handlers. One that fails is tried again, and waits.")
    empty = _("Everything is delivered.")
    list_display = (
        show.text("name", _("Event"), sort=True),
        show.code("aggregate_id", _("About")),
        show.number("attempts", _("Tries"), sort=True),
        show.moment("created_at", _("Created")),
        show.moment("available_at", _("Next try")),
    )
    search_fields = ("name", "aggregate_id", "tenant_id", "event_id")
    details = (
        show.code("event_id", _("Id")),
        *list_display,
        show.code("tenant_id", _("Tenant")),
        show.text("last_error", _("Error")),
        show.code("trace_id", _("Request")),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(delivered_at__isnull=True)
