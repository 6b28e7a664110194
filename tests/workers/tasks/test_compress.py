"""A compression as a job: a real child, kill -9, cancelling, money, refusals."""

from __future__ import annotations

import os
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tenants.accounts.models import Tenant
from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.pricing.models import Charge, Quote
from tests.workers.engine.factories import completions
from tests.workers.jobs.factories import actor_of, job_row, make_tenant, make_worker, messages_of
from tests.workers.tasks.factories import (
    BASE_ID,
    Running,
    register_base,
    sold,
    start,
    submit_fine_tune,
    until,
    upload,
)
from workers.assets.materialise import version_to_folder
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.selectors import model_lineage
from workers.assets.services import model_version_delete
from workers.engine.compression.specs import FOR_GPU, FORMATS
from workers.jobs.models import Job
from workers.jobs.services import job_cancel, job_submit
from workers.jobs.states import Kind, State
from workers.serving.models import Deployment
from workers.serving.services import deployments_ensure_for_job

pytestmark = pytest.mark.django_db

HALF = {"mlp": 0.5, "heads": 0.5}
LONG = {"prune": HALF, "recover": {"tokens": 40_000, "batch_size": 2}, "snapshot_every_steps": 20}


def submit(
    tenant: Tenant,
    *,
    rows: int = 40,
    model: str = BASE_ID,
    adapters: tuple[str, ...] = (),
    **settings: Any,
) -> Job:
    file = upload(tenant, completions(rows))
    with tenant_scope(tenant.id):
        return job_submit(
            actor=actor_of(tenant),
            kind=Kind.COMPRESS,
            spec={
                "model": model,
                "file_id": file,
                "suffix": "small",
                "settings": settings,
                "adapters": adapters,
            },
        )


def started() -> Running:
    return start(make_worker(), queue="compress.cpu")


def opened(job: Job, into: Path) -> tuple[ModelVersion, Path]:
    with system_scope():
        version = ModelVersion.objects.get(pk=job.result["model_version_id"])
        key = tenant_data_key(version.tenant_id)
    version_to_folder(version=version, data_key=key, into=into)
    return version, into


def test_a_compression_makes_a_smaller_version(base: BaseModel, tmp_path: Path) -> None:
    tenant = make_tenant()
    job = submit(tenant, prune=HALF, recover={"tokens": 2000, "batch_size": 4})
    assert job.queue == "compress.cpu"
    started().join()
    row = job_row(job.id)
    assert row.state == State.SUCCEEDED, (row.error, messages_of(job.id))
    version, folder = opened(row, tmp_path / "made")
    assert (version.kind, version.parent, version.base_id) == ("pruned", None, BASE_ID)
    assert version.parameters < base.parameters
    assert AutoModelForCausalLM.from_pretrained(folder).config.intermediate_size == 24
    card = (folder / "README.md").read_text()
    assert "| figure | before | after |" in card
    assert f"| parameters | {base.parameters} | {version.parameters} |" in card
    # then what was counted is what was quoted, and charged
    with tenant_scope(tenant.id):
        quote = Quote.objects.get(pk=row.quote_id)
        charged = sum(charge.net for charge in Charge.objects.filter(subject_id=job.id))
    most = {line["meter"]: Decimal(line["high"]) for line in quote.lines}
    assert 0 < sold(job.id, "tokens.evaluated") <= most["tokens.evaluated"]
    assert 1900 < sold(job.id, "tokens.trained") <= most["tokens.trained"] == 2000
    assert 0 < charged == row.charged <= quote.high_net
    # and it is on offer
    with system_scope():
        assert deployments_ensure_for_job(tenant_id=tenant.id, job_id=job.id) == 1


def test_a_killed_compression_resumes_and_is_sold_once(base: BaseModel) -> None:
    job = submit(make_tenant(), **LONG)
    running = started()
    until(lambda: job_row(job.id).resume_from, what="a snapshot")
    until(lambda: running.supervision.position[:1] >= (60,), what="step 60")
    child = running.supervision.watch.child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    running.join()
    row = job_row(job.id)
    assert (row.state, row.failures) == (State.QUEUED, {"platform": 1})
    with system_scope():
        Job.objects.filter(pk=job.id).update(available_at="2000-01-01T00:00Z")
    started().join()
    row = job_row(job.id)
    assert row.state == State.SUCCEEDED, (row.error, messages_of(job.id))
    assert any(message.startswith("Resumed after step") for message in messages_of(job.id))
    other = submit(make_tenant(), **LONG)
    started().join()
    same = job_row(other.id)
    for meter in ("tokens.evaluated", "tokens.trained"):
        assert sold(job.id, meter) == sold(other.id, meter)
    assert row.result["metrics"]["perplexity"] == same.result["metrics"]["perplexity"]
    assert row.charged == same.charged


SEARCHED = {
    "target": {"bytes": 0.9, "quality_loss": 5.0, "finalists": 2, "ratios": [0.0, 0.25, 0.5]},
    "recover": {"tokens": 4_000, "batch_size": 2},
}


def test_a_killed_search_resumes_and_is_sold_once(base: BaseModel) -> None:
    job = submit(make_tenant(), **SEARCHED)
    running = started()
    until(lambda: job_row(job.id).resume_from, what="the first candidates")
    child = running.supervision.watch.child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)
    running.join()
    row = job_row(job.id)
    assert (row.state, row.failures) == (State.QUEUED, {"platform": 1})
    with system_scope():
        Job.objects.filter(pk=job.id).update(available_at="2000-01-01T00:00Z")
    started().join()
    row = job_row(job.id)
    assert row.state == State.SUCCEEDED, (row.error, messages_of(job.id))
    assert any("candidates and" in message for message in messages_of(job.id))
    other = submit(make_tenant(), **SEARCHED)
    started().join()
    same = job_row(other.id)
    for meter in ("tokens.evaluated", "tokens.trained"):
        assert sold(job.id, meter) == sold(other.id, meter) > 0
    assert row.charged == same.charged
    assert row.result["metrics"]["perplexity"] == same.result["metrics"]["perplexity"]


def test_a_cancelled_compression_stops(base: BaseModel) -> None:
    tenant = make_tenant()
    job = submit(tenant, **LONG)
    running = started()
    until(lambda: running.supervision.position[:1] >= (20,), what="step 20")
    with tenant_scope(tenant.id):
        job_cancel(actor=actor_of(tenant), job_id=job.id)
    running.join()
    row = job_row(job.id)
    assert row.state == State.CANCELLED
    assert 0 < sold(job.id, "tokens.trained") < 40_000


def test_a_pruned_version_can_be_quantised_but_not_twice(base: BaseModel, tmp_path: Path) -> None:
    tenant = make_tenant()
    first = submit(tenant, prune=HALF)
    started().join()
    pruned = job_row(first.id).result["model_name"]
    second = submit(tenant, model=pruned, quantise="int4_weight")
    started().join()
    row = job_row(second.id)
    assert row.state == State.SUCCEEDED, row.error
    version, folder = opened(row, tmp_path / "made")
    assert version.kind == "quantised"
    told = f"Quantised as int4_weight: {FORMATS['int4_weight']}."
    note = FOR_GPU.format(format="int4_weight")
    assert f"\n\n{told}\n\n{note}\n" in (folder / "README.md").read_text()
    assert note in messages_of(second.id)
    assert row.result["report"]["device"] == "cpu"
    assert version.parent_id == job_row(first.id).result["model_version_id"]
    with pytest.raises(InvalidInput, match="is quantised already"):
        submit(tenant, model=version.name, quantise="int8_weight")
    with pytest.raises(InvalidInput, match="its rounded weights cannot learn"):
        submit_fine_tune(tenant, model=version.name)


def test_an_adapter_comes_along_but_only_its_own_bases(base: BaseModel, tmp_path: Path) -> None:
    tenant = make_tenant()
    tune = submit_fine_tune(tenant, validation=False, epochs=1)
    start(make_worker()).join()
    adapter = job_row(tune.id).result["model_name"]
    job = submit(tenant, prune=HALF, adapters=(adapter,))
    started().join()
    row = job_row(job.id)
    assert row.state == State.SUCCEEDED, row.error
    made, folder = opened(row, tmp_path / "made")
    assert not (folder / "adapters").exists()  # it is a version by itself
    (told,) = row.result["adapters"]
    assert (told["carried_from"], 0 < told["error"] < 2) == (adapter, True)
    with tenant_scope(tenant.id):
        carried = ModelVersion.objects.get(name=told["model"])
        source = ModelVersion.objects.get(name=adapter)
        assert model_lineage(carried) == [source]
    assert (carried.kind, carried.over_id, carried.job_id) == ("adapter", made.id, job.id)
    assert carried.name == f"{made.name}:adapter-1"
    assert carried.metrics == {"carry_error": told["error"]}
    with system_scope():
        version_to_folder(
            version=carried, data_key=tenant_data_key(tenant.id), into=tmp_path / "carried"
        )
    small = AutoModelForCausalLM.from_pretrained(folder)
    adapted = PeftModel.from_pretrained(small, str(tmp_path / "carried"))
    assert adapted(input_ids=torch.arange(5)[None]).logits.isfinite().all()
    card = (tmp_path / "carried" / "README.md").read_text()
    assert f'base_model: "{made.name}"' in card
    assert f"- Continues: {adapter}" in card
    # one call puts both on offer, and both want the compressed base
    with system_scope():
        assert deployments_ensure_for_job(tenant_id=tenant.id, job_id=job.id) == 2
        offers = Deployment.objects.filter(tenant_id=tenant.id, model__startswith=made.name)
        assert {row.target for row in offers} == {made.id}
    for refused in ({"quantise": "int8_weight"}, {"prune": HALF}):
        with pytest.raises(InvalidInput, match="is on a compressed model already"):
            submit(tenant, model=carried.name, **refused)
    with pytest.raises(InvalidInput, match="was carried over to a compressed model"):
        submit_fine_tune(tenant, model=carried.name)
    with tenant_scope(tenant.id), pytest.raises(Conflict, match="is an adapter on"):
        model_version_delete(actor=actor_of(tenant), name=made.name)
    with pytest.raises(InvalidInput, match="name the base as model"):
        submit(tenant, model=adapter, prune=HALF, adapters=(adapter,))
    register_base(tmp_path / "other", "other")
    with pytest.raises(InvalidInput, match="is an adapter of tiny, not of other") as refused:
        submit(tenant, model="other", prune=HALF, adapters=(adapter,))
    assert refused.value.code == "adapter_of_another_base"


def test_a_price_becomes_a_target(base: BaseModel) -> None:
    target = {"price": "0.45", "quality_loss": 5.0, "finalists": 1, "ratios": [0.0, 0.5]}
    job = submit(make_tenant(), target=target)
    dense = Decimal(job.spec["price"]["dense"])
    assert job.spec["settings"]["target"]["latency"] == pytest.approx(0.45 / float(dense))
    started().join()
    row = job_row(job.id)
    assert row.state == State.SUCCEEDED, row.error
    search = row.result["report"]["search"]
    assert search["reached"] or search["limit"]
    assert len(search["candidates"]) == 3


def test_a_budget_in_money_becomes_tokens(base: BaseModel) -> None:
    tenant = make_tenant()
    job = submit(tenant, prune=HALF, recover={"budget": "0.01"})
    tokens = job.spec["settings"]["recover"]["tokens"]
    with tenant_scope(tenant.id):
        (line,) = (
            each
            for each in Quote.objects.get(pk=job.quote_id).lines
            if each["meter"] == "tokens.trained"
        )
    assert int(line["expected"]) == tokens > 100
    search = submit(tenant, target={"bytes": 0.5, "finalists": 2}, recover={"budget": "0.01"})
    assert search.spec["settings"]["recover"]["tokens"] == tokens // 2


@pytest.mark.parametrize(
    ("asked", "param", "says"),
    [
        ({"prune": HALF, "recover": {"budget": "much"}}, "recover.budget", "is no budget"),
        ({"prune": HALF, "recover": {"budget": "1e-9"}}, "recover.budget", "buys no token"),
        (
            {"prune": HALF, "recover": {"budget": "1", "tokens": 5}},
            "recover.budget",
            "not both",
        ),
        ({"prune": {"mlp": 1.0}}, "prune.mlp", "1 would leave nothing"),
        ({"prune": {"heads": 0.8}}, "prune.heads", "the layer would vanish; at most 0.5 can go"),
        ({"prune": {"layers": 2}}, "prune.layers", "at most 1 can go"),
        ({}, "settings", "nothing is asked for"),
        ({"prune": {"scorer": "luck"}}, "prune.scorer", "choose one of"),
        ({"target": {"price": "free"}}, "target.price", "is no price of a million tokens"),
        ({"prune": {"depth": 1}}, "prune.depth", "there is no such setting"),
        ({"quantise": "int8_dynamic", "target": {"bytes": 0.5}}, "target", "leave them out"),
    ],
)
def test_what_cannot_be_asked_for(
    base: BaseModel, asked: dict[str, Any], param: str, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        submit(make_tenant(), **asked)
    assert refused.value.param == param


def test_too_little_data_and_an_unknown_family(base: BaseModel) -> None:
    tenant = make_tenant()
    with pytest.raises(InvalidInput, match="too few to calibrate with") as refused:
        submit(tenant, rows=2, quantise="int8_dynamic")
    assert refused.value.code == "too_little_data"
    with system_scope():
        BaseModel.objects.update(family="mamba")
    with pytest.raises(InvalidInput, match="'mamba' cannot be pruned") as refused:
        submit(tenant, prune=HALF)
    assert refused.value.code == "unsupported_architecture"
