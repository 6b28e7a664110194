"""Compressions of classifiers, encoders and tables: a real child, a version, a card, an offer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenants.accounts.models import Tenant
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import system_scope, tenant_scope
from tests.workers.engine.compression.kinds import KINDS, Trained
from tests.workers.jobs.factories import actor_of, job_row, make_tenant, make_worker, messages_of
from tests.workers.serving.factories import version_of
from tests.workers.tasks.factories import sold, start
from workers.assets.materialise import version_to_folder
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.services import base_model_register, file_create
from workers.jobs.models import Job
from workers.jobs.services import job_submit
from workers.jobs.states import Kind, State
from workers.serving.services import deployments_ensure_for_job

pytestmark = pytest.mark.django_db

BASES = {"images": "image", "recordings": "audio", "texts": "embedding", "vectors": "embedding"}
FOLDERS = {"images": "vit", "recordings": "ast", "texts": "bert", "vectors": "bert"}
METRIC = {"images": "accuracy", "recordings": "accuracy", "texts": "accuracy", "vectors": "mrr"}


def prepared(kind: str, folder: Path) -> tuple[Tenant, Trained, BaseModel, ModelVersion]:
    """A tenant with a version that was trained for real, of a base in the catalogue."""
    platform_tenant_ensure()
    folder.mkdir()
    given = KINDS[kind](folder)
    base = base_model_register(
        path=folder / FOLDERS.get(kind, "mlp"),
        model_id=f"{kind}-base",
        kind=BASES.get(kind, "tabular"),
        licence="Apache-2.0",
    )
    tenant = make_tenant()
    owner: Any = type("Owner", (), {"tenant_id": tenant.id})
    version = version_of(owner, base, given.folder, kind=ModelVersion.Kind.FULL, task=given.task)
    return tenant, given, base, version


def submit(tenant: Tenant, model: str, data: Path, **settings: Any) -> Job:
    with tenant_scope(tenant.id):
        file = file_create(
            actor=actor_of(tenant),
            filename=data.name,
            purpose="fine-tune",
            chunks=[data.read_bytes()],
        )
        return job_submit(
            actor=actor_of(tenant),
            kind=Kind.COMPRESS,
            spec={"model": model, "file_id": file.id, "suffix": "small", "settings": settings},
        )


@pytest.mark.parametrize(
    "kind",
    [
        "images",
        "vectors",
        "quantity",
        pytest.param("recordings", marks=pytest.mark.slow),
        pytest.param("texts", marks=pytest.mark.slow),
    ],
)
def test_a_smaller_version_with_its_card_goes_on_offer(
    kind: str, transactional_db: None, tmp_path: Path
) -> None:
    tenant, given, base, version = prepared(kind, tmp_path / "made")
    metric = METRIC.get(kind, "mse")
    job = submit(
        tenant,
        version.name,
        given.data,
        prune={"mlp": 0.4},
        quantise="int8_dynamic",
        recover={"tokens": 2_000, "batch_size": 16},
    )
    start(make_worker(), queue="compress.cpu").join()
    row = job_row(job.id)
    assert row.state == State.SUCCEEDED, (row.error, messages_of(job.id))
    metrics = row.result["metrics"]
    assert metrics["parameters"] < metrics["dense_parameters"]
    with system_scope():
        made = ModelVersion.objects.get(pk=row.result["model_version_id"])
    assert (made.kind, made.parent_id, made.base_id) == ("quantised", version.id, base.id)
    assert made.spec["task"] == given.task
    folder = tmp_path / "opened"
    with system_scope():
        version_to_folder(version=made, data_key=tenant_data_key(tenant.id), into=folder)
    card = (folder / "README.md").read_text()
    assert f"| {metric} | " in card
    assert f"- Continues: {version.name}" in card
    assert sold(job.id, "tokens.evaluated") > 0
    assert 0 < sold(job.id, "tokens.trained") <= 2_000
    assert row.charged > 0
    with system_scope():
        assert deployments_ensure_for_job(tenant_id=tenant.id, job_id=job.id) == 1


def test_heads_that_follow_the_width_are_refused_at_once(
    transactional_db: None, tmp_path: Path
) -> None:
    tenant, given, base, version = prepared("vectors", tmp_path / "made")
    for model in (base.id, version.name):
        with pytest.raises(InvalidInput, match="2 heads want a width of 16, not 32") as refused:
            submit(tenant, model, given.data, prune={"heads": 0.5})
        assert refused.value.param == "prune.heads"
    submit(tenant, base.id, given.data, prune={"heads": 0.5, "width": 0.5, "reconstruct": False})


def test_what_is_refused_before_it_is_queued(transactional_db: None, tmp_path: Path) -> None:
    tenant, given, base, version = prepared("quantity", tmp_path / "made")
    with pytest.raises(InvalidInput, match="has learned no tabular yet; fine-tune it") as refused:
        submit(tenant, base.id, given.data, prune={"mlp": 0.5})
    assert (refused.value.code, refused.value.param) == ("model_not_trained", "model")
    for asked, param, says in (
        ({"prune": {"heads": 0.5}}, "prune.heads", "a table's model has none to remove"),
        ({"prune": {"mlp": 1.0}}, "prune.mlp", "1 would leave nothing"),
        (
            {"prune": {"mlp": 0.5}, "recover": {"tokens": 9, "hidden": 1.0}},
            "recover.hidden",
            "no layers of tabular models are compared",
        ),
        ({"task": "embeddings", "prune": {"mlp": 0.5}}, "task", "was made for tabular"),
    ):
        with pytest.raises(InvalidInput, match=says) as wrong:
            submit(tenant, version.name, given.data, **asked)
        assert wrong.value.param == param
    with system_scope():
        BaseModel.objects.filter(pk=base.id).update(family="tabnet")
    with pytest.raises(InvalidInput, match="'tabnet' cannot be pruned") as unknown:
        submit(tenant, version.name, given.data, prune={"mlp": 0.5})
    assert unknown.value.code == "unsupported_architecture"
