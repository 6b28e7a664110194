"""A job whose data are still being read waits for them, and is then checked, priced and queued."""

from __future__ import annotations

from typing import Any

import pytest

from tenants.accounts.models import Tenant
from tenants.kernel.errors import InvalidInput, NotFound
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.models import Hold
from tenants.ledger.services import hold_place
from tests.workers.engine.factories import completions
from tests.workers.jobs.factories import actor_of, make_tenant
from tests.workers.tasks.factories import BASE_ID, SETTINGS, upload
from workers.assets.reading import dataset_read_next, datasets_to_read
from workers.assets.services.datasets import DatasetBeingRead
from workers.jobs.models import Job, JobEvent
from workers.jobs.services import job_cancel, job_quote, job_submit
from workers.jobs.states import Kind, State
from workers.jobs.waiting import jobs_take_up

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _all_are_large(settings: Any) -> None:
    settings.READ_AT_ONCE_BYTES = 100


def spec_of(tenant: Tenant, rows: list[Any], **more: Any) -> dict[str, Any]:
    file = upload(tenant, rows)
    return {"model": BASE_ID, "training_file_id": file, "settings": SETTINGS, **more}


def submitted(tenant: Tenant, spec: dict[str, Any], **more: Any) -> Job:
    with tenant_scope(tenant.id):
        return job_submit(actor=actor_of(tenant), kind=Kind.FINE_TUNE, spec=spec, **more)


def fresh(job: Job) -> Job:
    with system_scope():
        return Job.objects.get(pk=job.pk)


def story(job: Job) -> list[str]:
    with system_scope():
        rows = JobEvent.objects.filter(job_id=job.pk).order_by("id")
        return [row.message for row in rows]


def test_a_job_waits_for_its_data_and_comes_out_as_any_other(tenant: Tenant, settings: Any) -> None:
    validation = upload(tenant, completions(40)[32:])
    spec = spec_of(tenant, completions(24), validation_file_id=validation)
    job = submitted(tenant, spec, metadata={"for": "me"})
    assert (job.state, job.quote_id, job.spec["model"]) == (State.VALIDATING, "", BASE_ID)
    assert jobs_take_up() == 0
    assert dataset_read_next()
    assert jobs_take_up() == 1  # it asks for the held-out data then
    assert fresh(job).state == State.VALIDATING
    assert dataset_read_next()
    assert jobs_take_up() == 1
    assert jobs_take_up() == 0

    done = fresh(job)
    assert (done.state, done.metadata) == (State.QUEUED, {"for": "me"})
    settings.READ_AT_ONCE_BYTES = 10**6
    plain = submitted(tenant, spec)
    assert (done.spec, done.queue, done.bound) == (plain.spec, plain.queue, plain.bound)
    with tenant_scope(tenant.id):
        assert Hold.objects.filter(key=f"job:{job.id}").count() == 1
    assert "being read" in story(job)[0]
    assert "have been read and are valid" in story(job)[1]


def test_bad_data_fail_the_job_and_say_where(tenant: Tenant) -> None:
    job = submitted(tenant, spec_of(tenant, [*completions(24), {"prompt": "x"}]))
    dataset_read_next()
    jobs_take_up()
    failed = fresh(job)
    assert failed.state == State.FAILED
    assert failed.error["code"] == "invalid_file"
    assert failed.error["param"] == "training_file"
    assert "line 25" in failed.error["message"]
    with system_scope():
        assert not Hold.objects.exists()


def test_without_credit_by_then_the_job_fails_and_nothing_is_held(tenant: Tenant) -> None:
    job = submitted(tenant, spec_of(tenant, completions(24)))
    with tenant_scope(tenant.id):
        hold_place(tenant_id=tenant.id, key="all", amount=Money.of("999.999999", "USD"))
    dataset_read_next()
    jobs_take_up()
    failed = fresh(job)
    assert (failed.state, failed.error["code"]) == (State.FAILED, "insufficient_credit")
    assert failed.quote_id == ""
    with system_scope():
        assert [hold.key for hold in Hold.objects.all()] == ["all"]


@pytest.mark.parametrize(
    ("kind", "more", "param"),
    [
        (Kind.FINE_TUNE, {"settings": {"epochs": 0}}, "epochs"),
        (Kind.FINE_TUNE, {"method": "dpo", "settings": {"preference": 5}}, "preference"),
        (Kind.FINE_TUNE, {"requested_hyperparameters": {"warmth": 1}}, "hyperparameters"),
        (Kind.EVALUATE, {"settings": {"batch": 1}}, "batch"),
        (Kind.COMPRESS, {"settings": {"prune": {"mlp": 2}}}, "prune.mlp"),
    ],
)
def test_a_slip_is_told_before_a_large_file_is_read(
    tenant: Tenant, kind: Kind, more: dict[str, Any], param: str
) -> None:
    file = upload(tenant, completions(24))
    spec = {"model": BASE_ID, "training_file_id": file, "file_id": file, **more}
    with tenant_scope(tenant.id), pytest.raises(InvalidInput) as refused:
        job_submit(actor=actor_of(tenant), kind=kind, spec=spec)
    assert refused.value.param == param
    assert datasets_to_read() == 0


def test_what_nobody_foresaw_ends_its_own_job_only(tenant: Tenant) -> None:
    wrong = submitted(tenant, spec_of(tenant, completions(24)))
    right = submitted(tenant, spec_of(tenant, completions(40)[24:]))
    with system_scope():
        wrong.spec["asked"]["requested_hyperparameters"] = 5
        wrong.save(update_fields=["spec"])
    while dataset_read_next():
        pass
    assert jobs_take_up() == 2
    assert (fresh(wrong).state, fresh(wrong).error["code"]) == (State.FAILED, "not_checked")
    assert fresh(right).state == State.QUEUED
    assert jobs_take_up() == 0


def test_a_waiting_job_may_be_cancelled(tenant: Tenant) -> None:
    job = submitted(tenant, spec_of(tenant, completions(24)))
    with tenant_scope(tenant.id):
        job_cancel(actor=actor_of(tenant), job_id=job.id)
    dataset_read_next()
    assert jobs_take_up() == 0
    assert fresh(job).state == State.CANCELLED


def test_another_tenants_file_stays_out_of_reach_for_whoever_waits(tenant: Tenant) -> None:
    theirs = upload(make_tenant(), completions(40)[32:])
    job = submitted(tenant, spec_of(tenant, completions(24), validation_file_id=theirs))
    dataset_read_next()
    jobs_take_up()
    assert fresh(job).error["param"] == "validation_file"
    assert "no file" in fresh(job).error["message"]


def test_a_quote_says_that_the_data_are_being_read(tenant: Tenant) -> None:
    spec = spec_of(tenant, completions(24))
    with tenant_scope(tenant.id), pytest.raises(DatasetBeingRead, match="which waits"):
        job_quote(actor=actor_of(tenant), kind=Kind.FINE_TUNE, spec=spec)
    with tenant_scope(tenant.id), pytest.raises(NotFound):
        job_quote(
            actor=actor_of(tenant), kind=Kind.FINE_TUNE, spec=spec | {"training_file_id": "none"}
        )
