"""A pipeline's step that the engine does: a job of its own, held and charged with the pipeline."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from saas.handlers import HANDLERS
from tenants.accounts.models import Tenant
from tenants.kernel.outbox import drain
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.models import Hold
from tenants.ledger.selectors import unbalanced
from tenants.pricing.models import Charge
from tests.tenants.partners.factories import agree, standing
from tests.tenants.partners.releases import enabled, partner_tenant, published
from tests.workers.engine.factories import completions
from tests.workers.jobs.factories import actor_of, job_row, make_tenant, make_worker, messages_of
from tests.workers.tasks.factories import BASE_ID, SETTINGS, sold, start, upload
from workers.assets.models import BaseModel
from workers.assets.reading import dataset_read_next
from workers.jobs.events import JobCancelled, JobFailed, JobSucceeded
from workers.jobs.models import Job
from workers.jobs.services import job_cancel, job_submit
from workers.jobs.states import Kind, State
from workers.jobs.waiting import jobs_take_up
from workers.tasks.runs.pipeline import engine_request
from workers.tasks.runs.run import CannotRun

pytestmark = pytest.mark.django_db

TUNING = f"""
import json

from plugins.sdk import Pipeline, Step, StepResult, hookimpl


@hookimpl
def pipelines():
    steps = (
        Step("clean", "prepare"),
        Step("tune", "train", engine="fine_tune"),
        Step("report", "evaluate"),
    )
    return (Pipeline("tuned", "Clean, tune, report", steps),)


@hookimpl
def run_step(pipeline, step, work):
    if step == "clean":
        with work.open(work.inputs[0]) as source, work.create("train.jsonl") as out:
            out.write(source.read())
        wish = {{
            "model": work.settings.get("token", "{BASE_ID}"),
            "training_file": "train.jsonl",
            "settings": {SETTINGS!r},
        }}
        with work.create("tune.json") as out:
            out.write(json.dumps(wish).encode())
        return StepResult(files=("train.jsonl", "tune.json"))
    (told,) = [each for each in work.inputs if each.name == "tune.result.json"]
    with work.open(told) as source:
        made = json.load(source)
    return StepResult({{"model": made["model_name"], "tokens": made["trained_tokens"]}})
"""
TRAINING_TOO = {
    "currency": "USD",
    "lines": {"plugins": {"share": "0.7"}, "training": {"share": "0.1"}},
}


@pytest.fixture
def partner(base: BaseModel, tmp_path: Path) -> Tenant:
    made = partner_tenant()
    agree(made.id, TRAINING_TOO)
    return published(tmp_path, made, "tuning", code=TUNING)


def submit(tenant: Tenant, **more: Any) -> Job:
    spec = more | {
        "plugin": "tuning",
        "pipeline": "tuned",
        "file_ids": [upload(tenant, completions(24))],
    }
    with tenant_scope(tenant.id):
        return job_submit(actor=actor_of(tenant), kind=Kind.PIPELINE, spec=spec)


def attempt(queue: str) -> None:
    start(make_worker(), queue=queue).join()


def told() -> None:
    """Have the ends of jobs reach who waits for them."""
    while drain({event: HANDLERS[event] for event in (JobSucceeded, JobFailed, JobCancelled)}):
        pass


def held_by(tenant: Tenant) -> Decimal:
    with system_scope():
        open_ones = Hold.objects.filter(tenant_id=tenant.id, state="open")
        return sum((hold.amount for hold in open_ones), Decimal(0))


def child_of(job: Job) -> Job:
    with system_scope():
        return Job.objects.get(parent_id=job.id)


def test_the_engine_trains_for_a_step_and_the_pipeline_pays_and_goes_on(partner: Tenant) -> None:
    tenant = make_tenant()
    enabled(tenant.id, "tuning")
    job = submit(tenant)
    attempt("pipeline.cpu")
    assert job_row(job.id).state == State.PAUSED, (job_row(job.id).error, messages_of(job.id))
    child = child_of(job)
    assert (child.kind, child.state, child.currency) == ("fine_tune", State.QUEUED, "")
    with system_scope():
        (hold,) = Hold.objects.filter(tenant_id=tenant.id, state="open")
        assert hold.key == f"job:{job.id}"

    attempt("train.cpu")
    assert job_row(child.id).state == State.SUCCEEDED, messages_of(child.id)
    told()
    attempt("pipeline.cpu")
    row = job_row(job.id)
    assert row.state == State.SUCCEEDED, (row.error, messages_of(job.id))
    assert row.result["figures"]["report.model"] == job_row(child.id).result["model_name"]

    trained = sold(child.id)
    assert trained == row.result["figures"]["report.tokens"] > 0
    with system_scope():
        charges = Charge.objects.filter(tenant_id=tenant.id, net__gt=0)
        assert {charge.subject_id for charge in charges} == {job.id}
        price = Decimal(trained) * Decimal("0.000004")
        assert row.charged == sum(charge.net for charge in charges) == price
        assert not Hold.objects.filter(tenant_id=tenant.id, state="open").exists()
        assert unbalanced() == []
    assert job_row(child.id).charged == 0
    assert standing(partner.id)["pending"] == price / 10


def test_what_a_plugin_asks_wrongly_fails_the_pipeline(partner: Tenant) -> None:
    tenant = make_tenant()
    enabled(tenant.id, "tuning", token="no-such-model")
    job = submit(tenant)
    attempt("pipeline.cpu")
    row = job_row(job.id)
    assert row.state == State.FAILED
    assert "tune: " in row.error["message"]
    assert "no-such-model" in row.error["message"]


@pytest.mark.parametrize(("limit", "state"), [("0.000001", "failed"), ("100", "paused")])
def test_engine_work_costs_no_more_than_the_customer_allowed(
    partner: Tenant, limit: str, state: str
) -> None:
    tenant = make_tenant()
    enabled(tenant.id, "tuning")
    job = submit(tenant, engine_limit=Decimal(limit))
    attempt("pipeline.cpu")
    row = job_row(job.id)
    assert row.state == state, row.error
    if row.error:
        assert row.error["code"] == "engine_limit_exceeded"
        assert "engine_limit allows 0.000001" in row.error["message"]
        with system_scope():
            assert not Job.objects.filter(parent_id=job.id).exists()
    else:
        assert 0 < Decimal(row.spec["engine_asked"]) <= Decimal(limit)


@pytest.mark.parametrize("limit", ["0.000001", "100"])
def test_a_step_may_train_on_what_has_to_be_read_first(
    partner: Tenant, limit: str, settings: Any
) -> None:
    settings.READ_AT_ONCE_BYTES = 100
    tenant = make_tenant()
    enabled(tenant.id, "tuning")
    job = submit(tenant, engine_limit=Decimal(limit))
    attempt("pipeline.cpu")
    assert (job_row(job.id).state, child_of(job).state) == (State.PAUSED, State.VALIDATING)
    held = held_by(tenant)

    assert dataset_read_next()
    assert jobs_take_up() == 1
    child, asked = child_of(job), job_row(job.id).spec.get("engine_asked", "0")
    assert held_by(tenant) == held + Decimal(asked)
    if limit == "100":
        assert (child.state, child.currency) == (State.QUEUED, "")
        assert Decimal(asked) > 0
        return
    assert (child.state, child.error["code"]) == (State.FAILED, "engine_limit_exceeded")
    told()
    attempt("pipeline.cpu")
    row = job_row(job.id)
    assert row.state == State.FAILED
    assert "engine_limit allows 0.000001" in row.error["message"]


def test_what_a_pipeline_asked_for_does_not_begin_after_its_end(
    partner: Tenant, settings: Any
) -> None:
    settings.READ_AT_ONCE_BYTES = 100
    tenant = make_tenant()
    enabled(tenant.id, "tuning")
    job = submit(tenant)
    attempt("pipeline.cpu")
    with tenant_scope(tenant.id):
        job_cancel(actor=actor_of(tenant), job_id=job.id)
    dataset_read_next()
    jobs_take_up()  # before the child hears of it
    assert child_of(job).state == State.FAILED
    assert held_by(tenant) == 0


def test_a_cancelled_pipeline_takes_what_it_asked_for_along(partner: Tenant) -> None:
    tenant = make_tenant()
    enabled(tenant.id, "tuning")
    job = submit(tenant)
    attempt("pipeline.cpu")
    with tenant_scope(tenant.id):
        job_cancel(actor=actor_of(tenant), job_id=job.id)
    told()
    assert job_row(child_of(job).id).state == State.CANCELLED
    assert job_row(job.id).state == State.CANCELLED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON object"),
        ("[]", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ('{"model": "m", "training_file": "a", "seed": NaN}', "no JSON object"),
        ('{"model": "m\\u0000", "training_file": "a"}', "no JSON object"),
        ('{"training_file": "a"}', "names no model"),
        ('{"model": ["m"], "training_file": "a"}', "names no model"),
        ('{"model": "m"}', "names no training_file"),
        ('{"model": "m", "training_file": "/etc/passwd"}', "no file of the step before"),
        ('{"model": "m", "training_file": ["a"]}', "no file of the step before"),
        ('{"model": "m", "training_file": "a", "validation_file": "b"}', "no file of the step"),
        ('{"model": "m", "training_file_id": "file-another"}', "not the plugin's to say"),
        ('{"model": "m", "training_file": "a", "file_id": "file-another"}', "not the plugin's"),
    ],
)
def test_a_plugin_asks_with_its_own_files_in_words_that_can_be_kept(text: str, said: str) -> None:
    with pytest.raises(CannotRun, match=said):
        engine_request("tune", "fine_tune", text, {"a"})


def test_what_a_plugin_asks_rightly_is_read() -> None:
    text = '{"model": "m", "training_file": "a"}'
    assert engine_request("tune", "fine_tune", text, {"a"}) == json.loads(text)
