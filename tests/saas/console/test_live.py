"""A job's live page: what it shows, and what each poll adds."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saas.console.pages.live import Point, percent, points, remaining
from tenants.kernel.clock import now
from tenants.kernel.scope import tenant_scope
from tests.saas.console.factories import Person, event_add, job_make
from workers.jobs.models import Job
from workers.jobs.progress import curve_point
from workers.jobs.states import Kind, State


@pytest.mark.django_db
def test_the_page_holds_the_curve_the_progress_and_the_story(owner: Person) -> None:
    job = job_make(owner, remaining_s=130.0, started_at=now() - dt.timedelta(seconds=65))
    event_add(job, **curve_point(1, 40, {"loss": 3.0, "validation_loss": 3.5}))
    event_add(job, **curve_point(10, 40, {"loss": 2.0}))
    event_add(job, "Took a <snapshot>")

    page = owner.get(f"/console/jobs/job/{job.pk}/change/")

    live = page.context["live"]
    assert live["curve"] == {
        "train": [{"x": 1, "y": 3.0}, {"x": 10, "y": 2.0}],
        "validation": [{"x": 1, "y": 3.5}],
    }
    assert (live["percent"], live["steps"]) == (25, "step 10 of 40")
    assert live["remaining"] == "about 2 min 10 s left"
    assert live["elapsed"].startswith("1 min ")
    assert "Took a &lt;snapshot&gt;" in page.content.decode()


@pytest.mark.django_db
def test_a_search_for_a_smaller_model_is_drawn(owner: Person) -> None:
    given = {"ratio": 0.5, "scorer": "wanda", "format": "<none>", "latency": 0.6, "bytes": 0.7}
    found = {**given, "quality_loss": 0.05, "is_measured": True}
    search = {
        "target": {"latency": 0.7, "bytes": 0.0, "quality_loss": 0.1},
        "recommended": found,
        "candidates": [],
        "measured": [found],
        "front": [found],
    }
    report = {"search": search, "settings": {"quantise": "none"}}
    result = {"metrics": {}, "report": report}
    job = job_make(owner, kind=Kind.COMPRESS, state=State.SUCCEEDED, result=result)

    page = owner.get(f"/console/jobs/job/{job.pk}/change/").content.decode()

    assert page.count("<circle ") == 1
    assert "50% wanda &lt;none&gt;: 60%, +5.0%" in page
    other = owner.get(f"/console/jobs/job/{job_make(owner).pk}/change/").content.decode()
    assert "<circle " not in other


@pytest.mark.django_db
def test_a_poll_brings_only_what_is_new(owner: Person) -> None:
    job = job_make(owner)
    event_add(job, **curve_point(1, 40, {"loss": 3.0}))
    url = f"/console/jobs/{job.pk}/live/"
    first = owner.get(url).json()
    event_add(job, **curve_point(2, 40, {"loss": 2.5}))
    event_add(job, "Half-way")

    second = owner.get(url, after=first["after"]).json()
    third = owner.get(url, after=second["after"]).json()

    assert first["curve"]["train"] == [{"x": 1, "y": 3.0}]
    assert second["curve"]["train"] == [{"x": 2, "y": 2.5}]
    assert [event["message"] for event in second["events"]] == ["Half-way"]
    assert third["events"] == []
    assert third["after"] == second["after"]


@pytest.mark.django_db
@pytest.mark.parametrize("state", State)
def test_polling_ends_exactly_with_the_job(owner: Person, state: State) -> None:
    job = job_make(owner, state=state)

    live = owner.get(f"/console/jobs/{job.pk}/live/").json()

    assert live["final"] == (state in {State.SUCCEEDED, State.FAILED, State.CANCELLED})


@pytest.mark.django_db
def test_a_failed_job_says_why(owner: Person) -> None:
    job = job_make(owner, state=State.FAILED, error={"code": "diverged", "message": "NaN at 7"})

    assert owner.get(f"/console/jobs/{job.pk}/live/").json()["error"] == "NaN at 7"


@pytest.mark.django_db
def test_only_a_running_job_has_time_left(owner: Person) -> None:
    job = job_make(owner, remaining_s=30.0)

    with tenant_scope(owner.tenant.id):
        Job.objects.update(state=State.PAUSED)
        job.refresh_from_db()

    assert remaining(job) == ""


@given(step=st.integers(0, 10**6), steps=st.integers(0, 10**6))
def test_percents_stay_below_a_hundred_until_success(step: int, steps: int) -> None:
    assert 0 <= percent(step, steps, succeeded=False) <= 99
    assert percent(step, steps, succeeded=True) == 100


def test_points_that_no_chart_can_draw_are_left_out() -> None:
    measured = [
        {"step": 1, "train_loss": 2.0},
        {"step": 2, "train_loss": float("nan")},
        {"step": 3},
        {"step": None, "train_loss": 1.0},
        {"step": 4, "train_loss": None, "loss": 1.5},
        {"step": 5, "train_loss": "1.0"},
    ]

    assert points(measured, ("train_loss", "loss")) == [Point(1, 2.0), Point(4, 1.5)]
