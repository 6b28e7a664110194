"""No change to assets without a trace."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenants.accounts.models import AuditEntry
from tenants.accounts.services import SignedUp
from tenants.kernel.scope import system_scope, tenant_scope
from tests.tenants.accounts.factories import owner_of, tenant_make
from tests.workers.assets.factories import GOOD, adapter_folder, base_make, file_make, version_make
from workers.assets import services
from workers.assets.models import BaseModel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage_dir")]

Arguments = Callable[[SignedUp, BaseModel, Path], dict[str, Any]]


def upload_of(tenant: SignedUp) -> str:
    with tenant_scope(tenant.tenant.id):
        upload = services.upload_create(
            actor=owner_of(tenant), filename="a", purpose="fine-tune", bytes=len(GOOD)
        )
    return str(upload.id)


def part_of(tenant: SignedUp, upload_id: str) -> dict[str, Any]:
    with tenant_scope(tenant.tenant.id):
        part = services.upload_part_add(actor=owner_of(tenant), upload_id=upload_id, chunks=[GOOD])
    return {"upload_id": upload_id, "part_ids": [part.id]}


def version_name(tenant: SignedUp, base: BaseModel, tmp_path: Path) -> str:
    return str(version_make(tenant, base, adapter_folder(tmp_path / "adapter")).name)


def deleted_version(tenant: SignedUp, base: BaseModel, tmp_path: Path) -> str:
    name = version_name(tenant, base, tmp_path)
    with tenant_scope(tenant.tenant.id):
        services.model_version_delete(actor=owner_of(tenant), name=name)
    return name


# Service with an actor → its arguments, prepared outside of the scope.
CHANGES: dict[str, Arguments] = {
    "file_create": lambda t, b, p: {"filename": "a", "purpose": "fine-tune", "chunks": [GOOD]},
    "file_delete": lambda t, b, p: {"file_id": file_make(t).id},
    "file_expiry_set": lambda t, b, p: {"file_id": file_make(t).id, "expires_at": None},
    "upload_create": lambda t, b, p: {"filename": "a", "purpose": "fine-tune", "bytes": 3},
    "upload_part_add": lambda t, b, p: {"upload_id": upload_of(t), "chunks": [b"x"]},
    "upload_complete": lambda t, b, p: part_of(t, upload_of(t)),
    "upload_cancel": lambda t, b, p: {"upload_id": upload_of(t)},
    "dataset_validate": lambda t, b, p: {"file_id": file_make(t).id, "base_id": b.id},
    "model_version_delete": lambda t, b, p: {"name": version_name(t, b, p)},
    "model_version_restore": lambda t, b, p: {"name": deleted_version(t, b, p)},
}
WITHOUT_ACTOR = {
    "base_model_measure": "measures the machine; the base stays as it is",
    "base_model_measure_next": "measures the machine; the base stays as it is",
    "base_model_register": "the platform acts: tested with the catalogue",
    "base_model_verify": "reads only",
    "dataset_require_valid": "reads only",
    "file_keep": "the system acts, in a job's fenced transaction",
    "model_version_create": "the system acts, in a job's fenced transaction: tested below",
    "version_seal": "writes an object that no row names yet",
}


def test_every_service_is_covered_or_says_why_not() -> None:
    assert set(services.__all__) == CHANGES.keys() | WITHOUT_ACTOR.keys()
    for name in CHANGES:
        assert "actor" in inspect.signature(getattr(services, name)).parameters


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_leaves_its_trace(name: str, tmp_path: Path) -> None:
    tenant, base = tenant_make(), base_make(tmp_path / "base")
    arguments = CHANGES[name](tenant, base, tmp_path)
    before = len(trail(tenant))

    with tenant_scope(tenant.tenant.id):
        getattr(services, name)(actor=owner_of(tenant), **arguments)

    fresh = trail(tenant)[before:]
    assert fresh
    assert {(entry.actor_kind, entry.actor_id) for entry in fresh} == {("member", tenant.user.pk)}


def test_a_made_model_is_the_systems_act(tmp_path: Path) -> None:
    tenant = tenant_make()
    version = version_make(tenant, base_make(tmp_path / "b"), adapter_folder(tmp_path / "a"))
    last = trail(tenant)[-1]

    assert (last.action, last.actor_kind, last.target) == (
        "model_version.create",
        "system",
        version.id,
    )


def trail(tenant: SignedUp) -> list[AuditEntry]:
    with system_scope():
        return list(AuditEntry.objects.filter(tenant=tenant.tenant).order_by("id"))
