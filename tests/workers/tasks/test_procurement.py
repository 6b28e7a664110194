"""A purchase plan as a job of the platform's tenant: run by a real child, cancelled, refused."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from tenants.accounts.services import platform_tenant_ensure
from tenants.costs.forecasting import WEEKS_A_MONTH
from tenants.costs.plan_report import plan_work_out
from tenants.kernel.errors import InvalidInput, PermissionDenied
from tenants.kernel.scope import system_scope, tenant_scope
from tests.tenants.costs.test_plan_report import drafted
from tests.workers.jobs.factories import actor_of, job_row, make_tenant, make_worker
from tests.workers.tasks.factories import start, until
from workers.jobs.models import Job
from workers.jobs.services import job_cancel, job_submit
from workers.jobs.states import Kind, State

pytestmark = pytest.mark.django_db


def submit(**changes: Any) -> Job:
    tenant = platform_tenant_ensure()
    with tenant_scope(tenant.id):
        return job_submit(
            actor=actor_of(tenant), kind=Kind.PROCURE, spec={"plan": drafted(**changes)}
        )


def test_a_plan_runs_in_its_child_and_its_seed_gives_the_same_result() -> None:
    job = submit()
    start(make_worker(), queue="pipeline.cpu").join()
    done = job_row(job.id)
    assert done.state == State.SUCCEEDED
    assert done.step == done.steps > 3
    assert done.result["plan"] == json.loads(json.dumps(plan_work_out(job.spec["plan"])))


def test_one_that_waits_is_cancelled() -> None:
    job, actor = submit(), actor_of(platform_tenant_ensure())
    with tenant_scope(job.tenant_id):
        job_cancel(actor=actor, job_id=job.id)
    assert job_row(job.id).state == State.CANCELLED


LONG = {"edges": [n * WEEKS_A_MONTH for n in range(25)], "scenarios": 4, "seed": 1, "unseen": 400}


def test_one_that_runs_is_cancelled_between_two_steps() -> None:
    job = submit(forecast=LONG)
    running = start(make_worker(), queue="pipeline.cpu")
    until(lambda: running.supervision.position[:1] >= (5,), what="the fifth step")
    actor = actor_of(platform_tenant_ensure())
    with tenant_scope(job.tenant_id):
        job_cancel(actor=actor, job_id=job.id)
    running.join()
    assert job_row(job.id).state == State.CANCELLED


def test_one_that_is_killed_begins_again_and_comes_to_the_same() -> None:
    job = submit(forecast=LONG)
    running = start(make_worker(), queue="pipeline.cpu")
    until(lambda: running.supervision.position[:1] >= (5,), what="the fifth step")
    child = running.supervision.watch.child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    running.join()
    row = job_row(job.id)
    assert (row.state, row.failures) == (State.QUEUED, {"platform": 1})
    with system_scope():
        Job.objects.filter(pk=job.id).update(available_at="2000-01-01T00:00Z")
    start(make_worker(), queue="pipeline.cpu").join()
    done = job_row(job.id)
    assert done.state == State.SUCCEEDED
    assert done.result["plan"] == json.loads(json.dumps(plan_work_out(job.spec["plan"])))


def test_one_that_nothing_can_keep_fails_in_words_and_is_not_tried_again() -> None:
    limited = {"name": "on demand", "prices": {"gpu serve": 2.0}, "limits": {"gpu serve": 0}}
    case = drafted()["case"] | {"markets": [limited], "budget": 1.0, "service": 1.0}
    job = submit(case=case)
    start(make_worker(), queue="pipeline.cpu").join()
    done = job_row(job.id)
    assert done.state == State.FAILED
    assert "budget and the service" in done.error["message"]


def test_customers_plan_no_purchases() -> None:
    tenant = make_tenant()
    with tenant_scope(tenant.id), pytest.raises(PermissionDenied, match="platform's own staff"):
        job_submit(actor=actor_of(tenant), kind=Kind.PROCURE, spec={"plan": drafted()})


def test_what_makes_no_sense_is_refused_before_it_is_queued() -> None:
    with pytest.raises(InvalidInput, match="whole weeks"):
        submit(weeks={"gpu serve": [1.0]})
