"""What the parent of a `serve` job does on its replica's behalf. All in the system's scope.

The replica's process has no database and no keys: its parent registers the address, tells the
gateway what is loaded, and hands over opened adapters. Every write holds only while the lease does.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db.models import QuerySet
from django.db.models.functions import Now

from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.errors import NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from workers.assets.materialise import version_to_folder
from workers.assets.models import BaseModel, ModelVersion
from workers.engine.specs import served_as
from workers.jobs.fencing import Lease, job_held
from workers.serving.models import Replica


@dataclass(frozen=True)
class Serving:
    """A serve job's spec: the replica has `version_id` loaded, or the plain base (None)."""

    target: str
    base_id: str
    version_id: str | None = None


@dataclass(frozen=True)
class Opened:
    """Where the replica finds its model, and the secret that its callers must show."""

    kind: str  # text_generation, embedding
    folder: Path
    secret: str


def replica_open(*, lease: Lease, serving: Serving, scratch: Path) -> Opened:
    """Register a starting replica and put its model where it can read it.

    Raises FencedOut, NotFound.
    """
    secret = secrets.token_urlsafe(32)
    with system_scope():
        job_held(lease)
        base = BaseModel.objects.get(pk=serving.base_id)
        Replica.objects.filter(job_id=lease.job_id, stopped_at__isnull=True).update(
            state=Replica.State.STOPPED, stopped_at=Now()
        )
        Replica.objects.create(
            id=new_id("rep_"),
            target=serving.target,
            job_id=lease.job_id,
            token=lease.token,
            secret=secret,
        )
        version = _version(serving) if serving.version_id else None
        data_key = tenant_data_key(version.tenant_id) if version else b""
    folder = Path(base.path)
    if version is not None:
        folder = scratch / version.id
        version_to_folder(version=version, data_key=data_key, into=folder)
    task = version.spec.get("task") if version is not None else None
    return Opened(kind=served_as(task or base.kind), folder=folder, secret=secret)


def replica_ready(*, lease: Lease, address: str) -> None:
    """The replica answers at `address` ("127.0.0.1:41231"). Raises FencedOut."""
    with system_scope():
        job_held(lease)
        _row(lease).update(state=Replica.State.READY, address=address, heartbeat_at=Now())


def replica_beat(*, lease: Lease, adapters: Sequence[str], active: int) -> None:
    """The replica lives, has `adapters` loaded and generates `active` sequences.

    Raises FencedOut.
    """
    with system_scope():
        job_held(lease)
        _row(lease).update(adapters=list(adapters), active=active, heartbeat_at=Now())


def replica_draining(*, lease: Lease) -> None:
    """The replica takes no new requests. Raises FencedOut."""
    with system_scope():
        job_held(lease)
        _row(lease).update(state=Replica.State.DRAINING)


def replica_stopped(*, lease: Lease) -> None:
    """The replica's process has ended. Only this token's own row changes, so none is fenced out."""
    with system_scope():
        _row(lease).update(state=Replica.State.STOPPED, stopped_at=Now(), active=0)


def adapter_open(*, serving: Serving, tenant_id: str, version_id: str, into: Path) -> Path:
    """Open one tenant's adapter of what is served into the folder `into`. Returns that folder.

    Raises NotFound unless that version is this tenant's, an adapter on exactly this base or
    version, and not deleted.
    """
    with system_scope():
        version = (
            ModelVersion.objects.filter(
                pk=version_id,
                tenant_id=tenant_id,
                base_id=serving.base_id,
                over_id=serving.version_id,
                kind=ModelVersion.Kind.ADAPTER,
                deleted_at__isnull=True,
            )
            .select_related("base")
            .first()
        )
        if version is None:
            raise NotFound(f"tenant {tenant_id} has no adapter {version_id} of {serving.target}")
        data_key = tenant_data_key(tenant_id)
    version_to_folder(version=version, data_key=data_key, into=into)
    return into


def _row(lease: Lease) -> QuerySet[Replica]:
    return Replica.objects.filter(job_id=lease.job_id, token=lease.token, stopped_at__isnull=True)


def _version(serving: Serving) -> ModelVersion:
    rows = ModelVersion.objects.filter(pk=serving.version_id, deleted_at__isnull=True)
    version: ModelVersion | None = rows.first()
    if version is None:
        raise NotFound(f"model version {serving.version_id} does not exist or was deleted")
    return version
