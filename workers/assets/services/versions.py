"""Model versions: immutable, named after their job, sealed as one folder with a card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenants.accounts.actors import Actor, system_actor
from tenants.accounts.audit import audit_record
from tenants.accounts.models import Tenant
from tenants.kernel.clock import database_now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from tenants.kernel.scope import on_commit
from tenants.kernel.version import code_version
from workers.assets.card import Card, card_text
from workers.assets.events import (
    ModelVersionCreated,
    ModelVersionDeleted,
    ModelVersionRestored,
)
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.naming import version_name
from workers.assets.storage import StoredObject, folder_write, object_delete, object_key
from workers.assets.weights import parameter_count, refuse_unsafe_weights
from workers.engine.folders import MANIFEST, folder_digest


def version_seal(*, tenant_id: str, data_key: bytes, folder: Path, card: Card) -> StoredObject:
    """Write the model's card into `folder` and seal it under a fresh key; needs no scope.

    Raises InvalidInput for weights that are not safetensors.
    """
    refuse_unsafe_weights(folder)
    (folder / MANIFEST).unlink(missing_ok=True)  # the engine's own; the row's hash takes its place
    (folder / "README.md").write_text(card_text(card), encoding="utf-8")
    key = object_key(tenant_id, "versions")
    return folder_write(tenant_id=tenant_id, key=key, folder=folder, data_key=data_key)


def model_version_create(  # noqa: PLR0913 -- a version's whole lineage
    *,
    tenant_id: str,
    base_id: str,
    kind: str,
    folder: Path,
    suffix: str,
    job_id: str,
    parent_id: str | None,
    dataset_id: str | None,
    spec: Mapping[str, Any],
    metrics: Mapping[str, float],
    stored: StoredObject,
    is_checkpoint: bool = False,
    step: int | None = None,
    over: ModelVersion | None = None,
    place: int | None = None,
) -> ModelVersion:
    """Enter a sealed folder as a version, in the caller's (fenced) transaction.

    `over` is the version that an adapter belongs on, `place` its number among those of its job.
    A job that comes to the same step again gets the version it made before. Raises InvalidInput.
    """
    tenant = Tenant.objects.get(pk=tenant_id)
    base = BaseModel.objects.get(pk=base_id)
    version_id = new_id("mv_")
    name = version_name(
        base_id=base_id,
        slug=tenant.slug,
        suffix=suffix,
        source_id=job_id or version_id,
        step=step if is_checkpoint else None,
        adapter=place,
    )
    known: ModelVersion | None = ModelVersion.objects.filter(tenant=tenant, name=name).first()
    if known is not None:
        on_commit(lambda: object_delete(key=stored.key))
        return known
    row: ModelVersion = ModelVersion.objects.create(
        id=version_id,
        tenant_id=tenant_id,
        name=name,
        kind=kind,
        base=base,
        parent_id=parent_id,
        over=over,
        job_id=job_id,
        dataset_id=dataset_id,
        is_checkpoint=is_checkpoint,
        step=step,
        spec=dict(spec),
        metrics=dict(metrics),
        licence=base.licence,
        code_version=code_version(),
        parameters=parameter_count(folder),
        bytes=stored.bytes,
        sha256=folder_digest(folder),
        storage_key=stored.key,
    )
    audit_record(
        actor=system_actor(tenant_id),
        action="model_version.create",
        target=row.id,
        data={"name": name, "job": job_id},
    )
    emit(ModelVersionCreated(tenant_id=tenant_id, version_id=row.id, name=name, job_id=job_id))
    return row


def model_version_delete(*, actor: Actor, name: str) -> ModelVersion:
    """Delete a version; it may be restored until its bytes are purged.

    Raises NotFound, InvalidInput for a base model, Conflict while adapters are on it.
    """
    actor.require("models.write")
    if BaseModel.objects.filter(pk=name).exists():
        raise InvalidInput(
            f"{name!r} is a base model of the catalogue, which customers do not delete",
            param="model",
        )
    row = _locked(name)
    if row.deleted_at is not None:
        raise _not_found(name)
    held_by = ModelVersion.objects.filter(over=row, deleted_at__isnull=True).first()
    if held_by is not None:
        raise Conflict(
            f"{held_by.name} is an adapter on {name} and needs it; delete that one first",
            code="model_in_use",
        )
    row.deleted_at = database_now()
    row.save(update_fields=["deleted_at"])
    audit_record(actor=actor, action="model_version.delete", target=row.id, data={"name": name})
    emit(ModelVersionDeleted(tenant_id=row.tenant_id, version_id=row.id, name=name))
    return row


def model_version_restore(*, actor: Actor, name: str) -> ModelVersion:
    """Undo a deletion; without one nothing changes. Raises NotFound, Conflict if purged."""
    actor.require("models.write")
    row = _locked(name)
    if row.purged_at is not None:
        raise Conflict(f"the bytes of {name!r} are gone for good", code="model_purged")
    if row.over is not None and row.over.deleted_at is not None:
        raise Conflict(
            f"{name} is an adapter on {row.over.name}; restore that one first", code="model_deleted"
        )
    if row.deleted_at is not None:
        row.deleted_at = None
        row.save(update_fields=["deleted_at"])
        audit_record(
            actor=actor, action="model_version.restore", target=row.id, data={"name": name}
        )
        emit(ModelVersionRestored(tenant_id=row.tenant_id, version_id=row.id, name=name))
    return row


def _locked(name: str) -> ModelVersion:
    row: ModelVersion | None = ModelVersion.objects.select_for_update().filter(name=name).first()
    if row is None:
        raise _not_found(name)
    return row


def _not_found(name: str) -> NotFound:
    return NotFound(f"the model {name!r} does not exist", param="model", code="model_not_found")
