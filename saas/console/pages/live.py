"""A job as its live page sees it: state, progress, loss curve, events, as JSON for polling."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.http import Http404, HttpRequest, JsonResponse
from django.utils.translation import gettext

from saas.console.columns import as_badge, as_duration
from saas.console.task_words import TASKS, TaskWords
from saas.console.words import JOB_STATES
from tenants.kernel.clock import now
from workers.jobs.models import Job, JobEvent
from workers.jobs.selectors import job_events, jobs_visible
from workers.jobs.states import FINAL, State

EVENTS_SHOWN = 200
TRAIN_KEYS = ("train_loss", "loss")
VALIDATION_KEYS = ("valid_loss", "full_valid_loss", "validation_loss")


@dataclass(frozen=True)
class Point:
    x: float
    y: float


def job_live(request: HttpRequest, job_id: str) -> JsonResponse:
    """What is new since the event `after`. Raises Http404."""
    job = jobs_visible().filter(pk=job_id).first()
    if job is None:
        raise Http404
    return JsonResponse(live_state(job, after=request.GET.get("after", "")))


def live_state(job: Job, *, after: str = "") -> dict[str, Any]:
    """The live page's whole state, or what came after event `after`.

    Events come oldest first; `curve` holds the points of the events that are in this answer.
    """
    events = _events(job, after)
    messages = [event for event in events if event.type == "message"]
    return {
        **standing(job),
        "curve": curve(events),
        "metric": metric(job, events),
        "events": [event_line(event) for event in messages[-EVENTS_SHOWN:]],
        "after": events[-1].pk if events else after,
    }


def standing(job: Job) -> dict[str, Any]:
    """What the job's own row tells, in words and percents."""
    return {
        "state": job.state,
        "badge": as_badge(job.state, JOB_STATES),
        "final": State(job.state) in FINAL,
        "percent": percent(job.step, job.steps, succeeded=job.state == State.SUCCEEDED),
        "steps": gettext("step %(step)d of %(steps)d") % {"step": job.step, "steps": job.steps},
        "remaining": remaining(job),
        "elapsed": elapsed(job),
        "metrics": {key: shown(value) for key, value in job.metrics.items()},
        "error": (job.error or {}).get("message", ""),
    }


def _events(job: Job, after: str) -> list[JobEvent]:
    rows = job_events(job.pk)
    return list((rows.filter(pk__gt=after) if after else rows).order_by("id"))


def percent(step: int, steps: int, *, succeeded: bool) -> int:
    """Whole percents done; 100 only once the job has succeeded."""
    if succeeded:
        return 100
    return min(99, 100 * step // steps) if steps else 0


def remaining(job: Job) -> str:
    if State(job.state) != State.RUNNING or job.remaining_s is None:
        return ""
    return gettext("about %(time)s left") % {"time": as_duration(job.remaining_s)}


def elapsed(job: Job) -> str:
    if job.started_at is None:
        return as_duration(None)
    until = job.finished_at or now()
    return as_duration((until - job.started_at).total_seconds())


def curve(events: Iterable[JobEvent]) -> dict[str, list[dict[str, float]]]:
    """Training and validation loss by step, from the events that carry measures."""
    measured = [event.data for event in events if event.type == "metrics"]
    return {
        "train": [vars(p) for p in points(measured, TRAIN_KEYS)],
        "validation": [vars(p) for p in points(measured, VALIDATION_KEYS)],
    }


def metric(job: Job, events: Iterable[JobEvent]) -> dict[str, Any]:
    """The held-out figure that the job's task is judged by, by step, and the plain baseline's.

    The baseline is what no learning reaches: the untouched model, or a guess by the training data.
    """
    words = task_of(job)
    measured = [event.data for event in events if event.type == "metrics"]
    found = points(measured, (words.metric,))
    plain = words.metric.replace("validation_", "baseline_")
    told = [data[plain] for data in measured if isinstance(data.get(plain), int | float)]
    told += [point.y for point in found if point.x == 0]
    return {"points": [vars(p) for p in found], "baseline": told[0] if told else None}


def task_of(job: Job) -> TaskWords:
    """What a fine-tune learns. A table's classes are judged by accuracy, its numbers by error."""
    task = job.spec.get("settings", {}).get("task", "text_generation")
    words = TASKS.get(task, TASKS["text_generation"])
    if task == "tabular" and any("accuracy" in name for name in job.metrics):
        return replace(TASKS["text_classification"], name=words.name)
    return words


def points(measured: Iterable[Mapping[str, Any]], keys: tuple[str, ...]) -> list[Point]:
    """The finite values under the first of `keys` that is there, by step."""
    found = []
    for data in measured:
        value = next((data[key] for key in keys if data.get(key) is not None), None)
        step = data.get("step")
        if isinstance(value, int | float) and isinstance(step, int) and math.isfinite(value):
            found.append(Point(x=step, y=float(value)))
    return found


def event_line(event: JobEvent) -> dict[str, str]:
    return {
        "id": event.pk,
        "at": event.created_at.isoformat(),
        "level": event.level,
        "message": event.message,
    }


def shown(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
