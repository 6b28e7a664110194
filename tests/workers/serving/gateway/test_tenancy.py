"""One replica, many tenants: each reaches its own adapters, and nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import NotFoundError

from tenants.accounts.services import api_key_revoke
from tenants.kernel.scope import system_scope, tenant_scope
from tests.workers.serving.factories import copied, customer, version_of
from tests.workers.serving.gateway.directly import prompt_ids, written
from tests.workers.serving.replicas import Parent
from workers.assets.models import BaseModel
from workers.assets.services import model_version_delete
from workers.serving.models import Deployment, Replica
from workers.serving.services import deployment_delete

pytestmark = pytest.mark.django_db

HELLO: list[Any] = [{"role": "user", "content": "Tell me of lists."}]
ASKED: dict[str, Any] = {"messages": HELLO, "temperature": 0, "max_tokens": 12}


def base() -> BaseModel:
    return BaseModel.objects.get(pk="tiny")


def test_two_tenants_adapters_on_one_replica_write_what_they_write_alone(
    tiny: Path, adapters: list[Path], replica: Parent, client: Any, tmp_path: Path
) -> None:
    # given two tenants whose adapters bear the same name
    acme, rival = customer("Acme"), customer("Rival")
    for owner, folder in zip((acme, rival), adapters, strict=True):
        version_of(owner, base(), copied(folder, tmp_path / owner.tenant_id), name="ft:same")
    # when both, and the base, are called through one process
    found = [
        client(owner).chat.completions.create(model="ft:same", **ASKED).choices[0].message.content
        for owner in (acme, rival, acme)
    ]
    plain = client(acme).chat.completions.create(model="tiny", **ASKED).choices[0].message.content
    # then each gets its own model's words
    ids = prompt_ids(tiny, HELLO)
    own = [written(tiny, ids, adapter=a, temperature=0, max_tokens=12) for a in adapters]
    assert found == [own[0], own[1], own[0]]
    assert plain == written(tiny, ids, temperature=0, max_tokens=12)
    assert len({*own, plain}) == 3
    # and each adapter was opened once, as its owner's
    assert [tenant_id for tenant_id, _ in replica.opened] == [acme.tenant_id, rival.tenant_id]


def test_another_tenants_model_does_not_exist(
    adapters: list[Path], replica: Parent, client: Any, tmp_path: Path
) -> None:
    # given a model of one tenant
    acme, rival = customer("Acme"), customer("Rival")
    version = version_of(acme, base(), copied(adapters[0], tmp_path / "a"))
    # when another calls it by name or by id
    for name in (version.name, version.id):
        with pytest.raises(NotFoundError) as refused:
            client(rival).chat.completions.create(model=name, **ASKED)
        # then it is as if it were not there
        assert refused.value.code == "model_not_found"
    assert replica.opened == []


def test_a_replica_opens_no_version_under_another_tenants_name(
    adapters: list[Path], replica: Parent, tmp_path: Path
) -> None:
    # given a version of one tenant, and a gateway gone wrong that names another
    acme, rival = customer("Acme"), customer("Rival")
    version = version_of(acme, base(), copied(adapters[0], tmp_path / "a"))
    with system_scope():
        row = Replica.objects.get(job_id=replica.lease.job_id)
    asked = {
        "tenant_id": rival.tenant_id,
        "version_id": version.id,
        "sequences": [{"prompt": [5], "spec": {"max_tokens": 1}}],
    }
    # when the replica is asked
    answer = httpx.post(
        f"http://{row.address}/generate", json=asked, headers={"x-replica-secret": row.secret}
    )
    # then its parent refuses to open it
    assert answer.status_code == 404
    assert replica.opened == []


def test_deleted_models_deployments_and_keys_are_refused_from_the_next_request_on(
    adapters: list[Path], replica: Parent, client: Any, tmp_path: Path
) -> None:
    # given a model that answers
    acme = customer()
    version = version_of(acme, base(), copied(adapters[0], tmp_path / "a"))
    chat = client(acme).chat.completions
    chat.create(model=version.name, **ASKED)
    # when its deployment is deleted, then it is not offered again by being called
    with tenant_scope(acme.tenant_id):
        offer = Deployment.objects.get(model=version.name)
        deployment_delete(actor=acme.actor, deployment_id=offer.id)
    with pytest.raises(NotFoundError) as refused:
        chat.create(model=version.name, **ASKED)
    assert refused.value.code == "model_not_deployed"
    # when the model itself is deleted, then it is unknown
    with tenant_scope(acme.tenant_id):
        model_version_delete(actor=acme.actor, name=version.name)
    with pytest.raises(NotFoundError) as refused:
        chat.create(model=version.name, **ASKED)
    assert refused.value.code == "model_not_found"
    # when the key is revoked, then it is refused at once
    with tenant_scope(acme.tenant_id):
        api_key_revoke(actor=acme.actor, api_key_id=acme.key_id)
    answer = httpx.post(
        f"{chat._client.base_url}chat/completions",
        json={"model": "tiny", **ASKED},
        headers={"authorization": f"Bearer {acme.key}"},
    )
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "revoked_api_key"
