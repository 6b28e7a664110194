"""A pipeline as a job: a real wheel in a real sandbox; its usage, price, partner's share."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tenants.accounts.models import Tenant
from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.selectors import unbalanced
from tenants.partners.models import Health, Release
from tenants.usage.models import UsageEvent
from tests.tenants.partners.factories import standing
from tests.tenants.partners.releases import enabled, published
from tests.workers.jobs.factories import actor_of, job_row, make_tenant, make_worker, messages_of
from tests.workers.tasks.factories import Running, start, until
from workers.assets.services import file_create
from workers.jobs.models import Job
from workers.jobs.services import job_cancel, job_pause, job_resume, job_submit
from workers.jobs.states import Kind, State
from workers.tasks.runs.pipeline import distinct

pytestmark = pytest.mark.django_db


@pytest.fixture
def partner(tmp_path: Path) -> Tenant:
    return published(tmp_path)


def upload(tenant: Tenant, lines: list[str]) -> str:
    with tenant_scope(tenant.id):
        content = "".join(f"{line}\n" for line in lines).encode()
        file = file_create(
            actor=actor_of(tenant), filename="lines.txt", purpose="user_data", chunks=[content]
        )
    return str(file.id)


def submit(tenant: Tenant, lines: list[str], **more: Any) -> Job:
    spec = {"plugin": "counting", "pipeline": "count", "file_ids": [upload(tenant, lines)], **more}
    with tenant_scope(tenant.id):
        return job_submit(actor=actor_of(tenant), kind=Kind.PIPELINE, spec=spec)


def running() -> Running:
    return start(make_worker(), queue="pipeline.cpu")


def units(tenant: Tenant) -> list[Decimal]:
    with tenant_scope(tenant.id):
        rows = UsageEvent.objects.filter(meter="plugin.units", dimensions__plugin="counting")
        return [row.quantity for row in rows]


def test_a_pipeline_runs_and_is_charged_and_shared(partner: Tenant) -> None:
    tenant = make_tenant()
    enabled(tenant.id)
    job = submit(tenant, [f"line {n}" for n in range(12)], units={"lines": 12})
    assert job.queue == "pipeline.cpu"
    assert Decimal(job.quoted["expected"]) == 6
    running().join()
    row = job_row(job.id)
    assert row.state == State.SUCCEEDED, (row.error, messages_of(job.id))
    assert row.result["figures"] == {"read.from": 0, "sum.lines": 12}
    assert row.result["notices"] == ["Counts lines, and nothing more."]
    assert list(row.result["files"]) == ["sum.txt"]
    assert units(tenant) == [Decimal(12)]
    assert row.charged == 6
    assert standing(partner.id)["pending"] == Decimal("4.2")
    with system_scope():
        health = Health.objects.get()
        assert (health.calls, health.failures) == (2, {})
        assert unbalanced() == []


def test_what_the_plugin_refuses_is_the_customers_failure(partner: Tenant) -> None:
    tenant = make_tenant()
    enabled(tenant.id)
    job = submit(tenant, ["bad"])
    running().join()
    row = job_row(job.id)
    assert (row.state, row.error["code"]) == (State.FAILED, "plugin_refused")
    assert row.error["message"] == "read: line 1: it says bad"
    assert row.charged == 0
    assert standing(partner.id)["pending"] == 0


def test_a_plugin_that_ends_in_the_middle_is_tried_again_then_fails_for_nothing(
    partner: Tenant,
) -> None:
    tenant = make_tenant()
    enabled(tenant.id)
    job = submit(tenant, ["exit"])
    for _ in range(2):
        running().join()
        with system_scope():
            Job.objects.filter(pk=job.id).update(available_at="2000-01-01T00:00Z")
    row = job_row(job.id)
    assert (row.state, row.failures) == (State.FAILED, {"plugin": 2})
    assert row.error["code"] == "plugin_crashed"
    assert row.charged == 0
    with system_scope():
        health = Health.objects.get()
        assert (health.failures, health.in_a_row) == ({"crashed": 2}, 2)


def test_a_killed_pipeline_resumes_from_its_own_snapshot_and_is_sold_once(partner: Tenant) -> None:
    tenant = make_tenant()
    enabled(tenant.id, pause=0.05)
    job = submit(tenant, [f"line {n}" for n in range(40)])
    attempt = running()
    until(lambda: job_row(job.id).resume_from, what="a snapshot")
    child = attempt.supervision.watch.child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    attempt.join()
    with system_scope():
        Job.objects.filter(pk=job.id).update(available_at="2000-01-01T00:00Z")
    running().join()
    row = job_row(job.id)
    assert row.state == State.SUCCEEDED, (row.error, messages_of(job.id))
    assert row.result["figures"]["read.from"] >= 10
    assert units(tenant) == [Decimal(40)]
    assert row.charged == 20


def test_a_pipeline_pauses_and_goes_on_and_is_cancelled(partner: Tenant) -> None:
    tenant = make_tenant()
    enabled(tenant.id, pause=0.05)
    job = submit(tenant, [f"line {n}" for n in range(60)])
    attempt = running()
    until(lambda: job_row(job.id).resume_from, what="a snapshot")
    with tenant_scope(tenant.id):
        job_pause(actor=actor_of(tenant), job_id=job.id)
    attempt.join()
    assert job_row(job.id).state == State.PAUSED
    with tenant_scope(tenant.id):
        job_resume(actor=actor_of(tenant), job_id=job.id)
    attempt = running()
    until(lambda: attempt.supervision.has_stepped, what="the second attempt")
    with tenant_scope(tenant.id):
        job_cancel(actor=actor_of(tenant), job_id=job.id)
    attempt.join()
    row = job_row(job.id)
    assert (row.state, row.charged) == (State.CANCELLED, 0)


def test_a_plugin_that_hangs_delays_another_tenant_by_no_more_than_its_own_slot(
    partner: Tenant,
) -> None:
    """One tenant's jobs hang, and were first; the next slot is the other tenant's all the same."""
    hostile, other = make_tenant(), make_tenant()
    enabled(hostile.id, pause=600)
    enabled(other.id)
    hanging = [submit(hostile, ["never read"]) for _ in range(3)]
    theirs = submit(other, ["a", "b"])
    worker = make_worker()
    first = start(worker, queue="pipeline.cpu")
    until(lambda: job_row(hanging[0].id).state == State.RUNNING, what="the job that hangs")
    start(worker, queue="pipeline.cpu").join()
    assert job_row(theirs.id).state == State.SUCCEEDED, messages_of(theirs.id)
    assert [job_row(each.id).state for each in hanging] == [
        State.RUNNING,
        State.QUEUED,
        State.QUEUED,
    ]
    with tenant_scope(hostile.id):
        job_cancel(actor=actor_of(hostile), job_id=hanging[0].id)
    first.join()
    row = job_row(hanging[0].id)
    assert (row.state, row.charged) == (State.CANCELLED, 0)


def test_what_is_not_enabled_or_not_declared_is_refused(partner: Tenant) -> None:
    tenant = make_tenant()
    with pytest.raises(InvalidInput, match="not enabled"):
        submit(tenant, ["a"])
    enabled(tenant.id)
    with pytest.raises(InvalidInput, match="no pipeline 'other'; it has count"):
        submit(tenant, ["a"], pipeline="other")
    with pytest.raises(InvalidInput, match="counts lines, not 'rows'"):
        submit(tenant, ["a"], units={"rows": 1})
    with system_scope():
        Release.objects.update(suspended_at="2026-01-01T00:00Z", suspended_because="it lied")
    with pytest.raises(InvalidInput, match="it lied"):
        submit(tenant, ["a"])


def test_a_pipeline_that_the_platform_outgrew_fails_at_once_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(tmp_path, greatest_platform='"0.1"')
    tenant = make_tenant()
    enabled(tenant.id)
    job = submit(tenant, ["a"])
    monkeypatch.setattr("tenants.partners.host.code_version", lambda: "0.2.0")
    running().join()
    row = job_row(job.id)
    assert (row.state, row.error["code"]) == (State.FAILED, "plugin_refused")
    assert row.error["message"] == "counting 1.0: knows platforms up to 0.1; this is 0.2.0"
    assert row.charged == 0


def test_files_of_one_name_are_all_handed_over() -> None:
    handed: list[str] = []
    for name in ("a", "1-a", "a", "a", "2-a"):
        handed.append(distinct(name, handed))
    assert handed == ["a", "1-a", "2-a", "3-a", "1-2-a"]
