"""A compression in the console: its form, its price, its page, and its model on offer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenants.kernel.scope import system_scope, tenant_scope
from tests.saas.api.factories import SEARCH, Caller, chats, compression_end, version_make
from tests.saas.console.factories import Person
from tests.saas.console.test_acts import act, upload
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.services import base_model_register
from workers.engine.base.tables import tabular_base_build
from workers.jobs.models import Job
from workers.serving.models import Deployment

pytestmark = pytest.mark.django_db


SMALLER = {
    "goal": "latency",
    "share": "60",
    "quality_loss": "20",
    "recover_tokens": "1000",
    "rounded": "int8_dynamic",
}


def test_a_compression_starts_from_the_form(owner: Person, base: BaseModel) -> None:
    file = upload(owner, chats(30))
    assert file is not None
    sent = {"model": base.pk, "file": file.pk, "suffix": "small", **SMALLER}

    quoted = owner.post("/console/jobs/job/compress/", **sent)
    with tenant_scope(owner.tenant.id):
        assert not Job.objects.exists(), "a quote starts nothing"
    quote_id = quoted.context["quote"]["id"]
    answer = owner.post("/console/jobs/job/compress/", **sent, quote_id=quote_id)

    with tenant_scope(owner.tenant.id):
        job = Job.objects.get()
    assert (job.kind, job.quote_id, job.spec["suffix"]) == ("compress", quote_id, "small")
    target = job.spec["settings"]["target"]
    assert (target["latency"], target["quality_loss"]) == (0.6, 0.2)
    assert target["formats"] == ["none", "int8_dynamic"]
    assert job.spec["settings"]["recover"]["tokens"] == 1000
    assert owner.get(answer.headers["location"]).status_code == 200


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        ({"goal": "bytes", "share": "30"}, {"bytes": 0.3, "latency": 0}),
        ({"goal": "ratio", "share": "75"}, {"mlp": 0.25, "heads": 0.25}),
        ({"rounded": "int4_weight"}, {"formats": ["none", "int4_weight"]}),
        ({"rounded": "none"}, {"formats": ["none"]}),
    ],
)
def test_what_a_compression_goes_down_to(
    owner: Person, base: BaseModel, change: dict[str, str], settings: dict[str, Any]
) -> None:
    file = upload(owner, chats(30))
    assert file is not None
    sent = {"model": base.pk, "file": file.pk, **SMALLER, **change}
    quote_id = owner.post("/console/jobs/job/compress/", **sent).context["quote"]["id"]

    owner.post("/console/jobs/job/compress/", **sent, quote_id=quote_id)

    with tenant_scope(owner.tenant.id):
        made = Job.objects.get().spec["settings"]
    part = made["prune"] if change.get("goal") == "ratio" else made["target"]
    assert {name: part[name] for name in settings} == settings


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rounded": "int3"}, "rounded"),
        ({"share": "100"}, "share"),
        ({"goal": "price"}, "price"),
        ({"goal": "luck"}, "goal"),
    ],
)
def test_a_faulty_compression_starts_nothing(
    owner: Person, base: BaseModel, change: dict[str, str], field: str
) -> None:
    file = upload(owner, chats(30))
    assert file is not None
    sent = {"model": base.pk, "file": file.pk, **SMALLER, **change}

    answer = owner.client.post("/console/jobs/job/compress/", sent)

    assert field in answer.context["form"].errors
    with tenant_scope(owner.tenant.id):
        assert not Job.objects.exists()


def test_adapters_are_carried_over_from_the_form_and_shown(owner: Person, base: BaseModel) -> None:
    file = upload(owner, chats(30))
    assert file is not None
    adapter = version_make(Caller(None, owner.tenant, owner.actor), suffix="tuned")
    sent = {"model": base.pk, "file": file.pk, **SMALLER, "adapters": [adapter.name]}
    searched = owner.client.post("/console/jobs/job/compress/", sent)
    assert "adapters" in searched.context["form"].errors
    sent |= {"goal": "ratio"}
    quote_id = owner.post("/console/jobs/job/compress/", **sent).context["quote"]["id"]
    owner.post("/console/jobs/job/compress/", **sent, quote_id=quote_id)
    with tenant_scope(owner.tenant.id):
        job = Job.objects.get()
    assert job.spec["adapters"] == [adapter.id]
    compression_end(job.pk, masked_weights=7)
    with system_scope():
        result = {**Job.objects.get().result, "adapters": [
            {"model": "ft:small:adapter-1", "carried_from": adapter.name, "error": 0.123}
        ]}  # fmt: skip
        Job.objects.filter(pk=job.pk).update(result=result)
    page = owner.get(f"/console/jobs/job/{job.pk}/change/").content.decode()
    for shown in ("ft:small:adapter-1", adapter.name, "12.3%", "neither faster nor smaller"):
        assert shown in page


def test_what_weights_were_rounded_to_is_shown_with_what_that_took(
    owner: Person, base: BaseModel
) -> None:
    file = upload(owner, chats(30))
    assert file is not None
    sent = {"model": base.pk, "file": file.pk, **SMALLER, "goal": "ratio", "rounded": "int4_weight"}
    quote_id = owner.post("/console/jobs/job/compress/", **sent).context["quote"]["id"]
    owner.post("/console/jobs/job/compress/", **sent, quote_id=quote_id)
    with tenant_scope(owner.tenant.id):
        job = Job.objects.get()
    assert job.spec["settings"]["quantise"] == "int4_weight"
    compression_end(
        job.pk,
        settings={"quantise": "int4_weight"},
        device="cpu",
        quantisation_errors={"a.q_proj": 0.05, "a.down_proj": 0.125},
    )
    page = owner.get(f"/console/jobs/job/{job.pk}/change/").content.decode()
    assert "4-bit integers: the fewest bytes, for GPUs." in page
    assert "The layer a.down_proj loses most by it: 12.50% of its output." in page
    assert "the time was taken on a CPU" in page


def test_only_what_can_be_made_smaller_is_offered(
    owner: Person, base: BaseModel, tmp_path: Path
) -> None:
    blank = base_model_register(
        path=tabular_base_build(tmp_path / "mlp"),
        model_id="tabular-mlp",
        kind="tabular",
        licence="Apache-2.0",
    )
    caller = Caller(None, owner.tenant, owner.actor)
    tuned, carried, rounded = (version_make(caller, suffix=s) for s in ("tuned", "over", "int8"))
    with tenant_scope(owner.tenant.id):
        ModelVersion.objects.filter(pk=carried.pk).update(over=tuned)
        ModelVersion.objects.filter(pk=rounded.pk).update(kind="quantised")
    form = owner.get("/console/jobs/job/compress/").context["form"]
    offered = [name for name, _ in form.fields["model"].choices]
    assert offered == [tuned.name, base.pk]
    assert blank.pk not in offered
    assert [name for name, _ in form.fields["adapters"].choices] == [tuned.name]


def test_what_a_compression_made_is_deployed_from_its_page(owner: Person, base: BaseModel) -> None:
    file = upload(owner, chats(30))
    assert file is not None
    sent = {"model": base.pk, "file": file.pk, **SMALLER}
    quote_id = owner.post("/console/jobs/job/compress/", **sent).context["quote"]["id"]
    owner.post("/console/jobs/job/compress/", **sent, quote_id=quote_id)
    with tenant_scope(owner.tenant.id):
        job = Job.objects.get()
    version = version_make(Caller(None, owner.tenant, owner.actor), suffix="small")
    compression_end(job.pk, name=version.name, search=SEARCH)
    before = owner.get(f"/console/jobs/job/{job.pk}/change/").content.decode()
    assert "The target is reached." in before
    assert "<circle" in before

    after = act(owner, "jobs/job", job.pk, "deploy")

    assert "The model is on offer and wakes up." in after
    assert 'data-act="deploy"' not in after
    with tenant_scope(owner.tenant.id):
        assert Deployment.objects.get(model=version.name).state == Deployment.State.WAKING
