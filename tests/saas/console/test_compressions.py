"""A compression in the console: its form, its price, its page, and its model on offer."""

from __future__ import annotations

import pytest

from tenants.kernel.scope import tenant_scope
from tests.saas.api.factories import SEARCH, Caller, chats, compression_end, version_make
from tests.saas.console.factories import Person
from tests.saas.console.test_acts import act, upload
from workers.assets.models import BaseModel
from workers.jobs.models import Job
from workers.serving.models import Deployment

pytestmark = pytest.mark.django_db


SMALLER = {"goal": "latency", "share": "60", "quality_loss": "20", "recover_tokens": "1000"}


def test_a_compression_starts_from_the_form(owner: Person, base: BaseModel) -> None:
    file = upload(owner, chats(30))
    assert file is not None
    sent = {"model": base.pk, "file": file.pk, "suffix": "small", "int8": "on", **SMALLER}

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
    ],
)
def test_what_a_compression_goes_down_to(
    owner: Person, base: BaseModel, change: dict[str, str], settings: dict[str, float]
) -> None:
    file = upload(owner, chats(30))
    assert file is not None
    sent = {"model": base.pk, "file": file.pk, **SMALLER, **change}
    quote_id = owner.post("/console/jobs/job/compress/", **sent).context["quote"]["id"]

    owner.post("/console/jobs/job/compress/", **sent, quote_id=quote_id)

    with tenant_scope(owner.tenant.id):
        made = Job.objects.get().spec["settings"]
    part = made["prune"] if change["goal"] == "ratio" else made["target"]
    assert {name: part[name] for name in settings} == settings


@pytest.mark.parametrize(
    ("change", "field"),
    [({"share": "100"}, "share"), ({"goal": "price"}, "price"), ({"goal": "luck"}, "goal")],
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
