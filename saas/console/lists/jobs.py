"""Jobs: their list, and the live page that one waits before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.compressions import compression_shown
from saas.console.filters import choice_filter
from saas.console.lists.files import file_link
from saas.console.pages.live import live_state, task_of
from saas.console.readonly import Act, ReadOnlyAdmin, Section
from saas.console.words import JOB_KINDS, JOB_STATES, OUTCOMES
from workers.jobs.models import Attempt, Checkpoint, Job
from workers.jobs.selectors import job_get
from workers.jobs.services import job_cancel, job_pause, job_resume
from workers.jobs.states import State
from workers.serving.models import Deployment
from workers.serving.selectors import deployment_of
from workers.serving.services import deployment_create, deployment_wake


def _call(service: Callable[..., Job]) -> Callable[[HttpRequest, str], Job]:
    return lambda request, job_id: service(actor=actor_of(request), job_id=job_id)


PAUSABLE = frozenset({State.QUEUED, State.RUNNING})
CANCELLABLE = PAUSABLE | {State.VALIDATING, State.PAUSING, State.PAUSED}


def job_name(job: Job) -> str:
    """What a person knows a job by: its suffix or model, else its id."""
    spec = job.spec if isinstance(job.spec, dict) else {}
    return str(spec.get("suffix") or spec.get("model") or spec.get("target") or job.pk)


def _made(job: Job) -> Any:
    """The finished job's model, by the name that callers use."""
    version_id, name = job.result.get("model_version_id"), job.result.get("model_name")
    if not version_id:
        return name
    url = reverse("console:assets_modelversion_change", args=[version_id])
    return format_html('<a href="{}">{}</a>', url, name)


def _data(field: str) -> Callable[[Any], Any]:
    def link(job: Job) -> Any:
        file_id = job.spec.get(field)
        return file_link(file_id, file_id) if file_id else None

    return link


def _quoted(job: Job) -> Any:
    """The quote's bounds, tax in them."""
    if not job.quoted:
        return None
    currency = job.quoted["currency"]
    low, high = (show.as_money(Decimal(job.quoted[case]), currency) for case in ("low", "high"))
    return f"{low} – {high}"


def _charged(job: Job) -> Any:
    if not job.currency:
        return None
    return show.as_money(job.charged + job.charged_tax, job.currency)


def _deploy(request: HttpRequest, job_id: str) -> Deployment:
    """Put what the job made on offer, where it is not, and wake it."""
    actor, name = actor_of(request), job_get(job_id).result["model_name"]
    row = deployment_of(name) or deployment_create(actor=actor, model=name)
    return deployment_wake(actor=actor, deployment_id=row.id)


def _sleeps(job: Job) -> bool:
    """Whether the job has made a model that no replica serves now."""
    name = job.result.get("model_name")
    if job.state != State.SUCCEEDED or not name:
        return False
    row = deployment_of(name)
    return row is None or row.state == Deployment.State.ASLEEP


def _shared(job: Job) -> Any:
    """Whether the newest attempt shares passes; with whom is nobody's to know."""
    return _("Yes") if job.shares_passes else None


def _progress(job: Job) -> str:
    percent = round(100 * job.step / job.steps) if job.steps else 0
    return render_to_string("console/bar.html", {"percent": percent, "small": True})


class JobAdmin(ReadOnlyAdmin):
    reads = "jobs.read"
    title = _("Jobs")
    empty = _("No jobs yet. Start a fine-tune to make your first model.")
    list_tools = "console/start_tool.html"
    list_display = (
        show.column(job_name, _("Name")),
        show.word("kind", _("Kind"), JOB_KINDS),
        show.badge("state", _("State"), JOB_STATES),
        show.column(_progress, _("Progress")),
        show.moment("created_at", _("Created")),
        show.moment("finished_at", _("Finished")),
    )
    list_filter = (
        choice_filter("state", _("State"), JOB_STATES),
        choice_filter("kind", _("Kind"), JOB_KINDS),
    )
    search_fields = ("id", "spec__suffix", "spec__model")
    detail_template = "console/job.html"
    details = (
        show.code("id", _("Id")),
        show.word("kind", _("Kind"), JOB_KINDS),
        show.text("queue", _("Queue")),
        show.moment("created_at", _("Created")),
        show.moment("started_at", _("Started")),
        show.moment("finished_at", _("Finished")),
        show.number("attempts_made", _("Attempts")),
        show.column(_shared, _("Shared passes")),
        show.column(_made, _("Model made")),
        show.column(lambda job: job.spec.get("model"), _("Start from")),
        show.column(_data("training_file_id"), _("Training data")),
        show.column(_data("file_id"), _("Data")),
        show.column(_data("validation_file_id"), _("Validation data")),
        show.column(_quoted, _("Quoted")),
        show.column(_charged, _("Charged")),
        show.derived("metadata", _("Labels"), show.as_pairs),
    )
    acts = (
        Act(
            name="deploy",
            label=_("Deploy"),
            permission="deployments.write",
            run=_deploy,
            done=_("The model is on offer and wakes up."),
            offered=_sleeps,
        ),
        Act(
            name="pause",
            label=_("Pause"),
            permission="jobs.write",
            run=_call(job_pause),
            done=_("The job pauses at its next step; its state is kept."),
            offered=lambda job: job.state in PAUSABLE,
        ),
        Act(
            name="resume",
            label=_("Resume"),
            permission="jobs.write",
            run=_call(job_resume),
            done=_("The job is queued again, from where it stopped."),
            offered=lambda job: job.state == State.PAUSED,
        ),
        Act(
            name="cancel",
            label=_("Cancel"),
            permission="jobs.write",
            run=_call(job_cancel),
            done=_("The job is being cancelled."),
            offered=lambda job: job.state in CANCELLABLE,
            danger=True,
            confirm=_("Cancel this job? It cannot be taken up again."),
        ),
    )

    def heading(self, row: Job) -> str:
        return job_name(row)

    def sections(self, request: HttpRequest, row: Job) -> Sequence[Section]:
        del request
        checkpoints = Checkpoint.objects.filter(job=row).order_by("step")
        attempts = Attempt.objects.filter(job=row).order_by("number")
        return [
            Section(_("Checkpoints"), _CHECKPOINT_COLUMNS, list(checkpoints)),
            Section(_("Attempts"), _ATTEMPT_COLUMNS, list(attempts)),
        ]

    def more(self, request: HttpRequest, row: Job) -> Mapping[str, Any]:
        del request
        return {
            "live": live_state(row),
            "live_url": reverse("console:job_live", args=[row.pk]),
            "compression": compression_shown(row),
            "has_curve": row.kind in {"fine_tune", "compress"},
            "judged": task_of(row) if row.kind == "fine_tune" else None,
            "pairs": [
                (_("Result"), show.as_pairs(flat(row.result))),
                (_("Settings"), show.as_pairs(flat(row.spec))),
            ],
        }


def flat(nested: Mapping[str, Any]) -> dict[str, Any]:
    """JSON without its nesting or its gaps: `settings.epochs` becomes `epochs`."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            found |= flat(value)
        elif value not in (None, ""):
            found[key] = value
    return found


_OUTCOMES = {**OUTCOMES, "running": OUTCOMES[""]}
_CHECKPOINT_COLUMNS = (
    show.number("step", _("Step")),
    show.code("model_name", _("Model")),
    show.derived("metrics", _("Measures"), show.as_pairs),
    show.moment("created_at", _("Created")),
)
_ATTEMPT_COLUMNS = (
    show.number("number", _("Attempt")),
    show.column(lambda a: show.as_badge(a.outcome or "running", _OUTCOMES), _("Outcome")),
    show.number("from_step", _("From step")),
    show.number("to_step", _("To step")),
    show.text("failure_kind", _("Whose failure")),
    show.text("error", _("Error")),
    show.moment("started_at", _("Started")),
    show.moment("ended_at", _("Ended")),
)
