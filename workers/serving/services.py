"""Changes to deployments. A tenant's own run in its scope; the platform's in the system's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db.models import F
from django.db.models.functions import Greatest, Now

from tenants.accounts.actors import Actor, system_actor
from tenants.accounts.audit import audit_record
from tenants.kernel.errors import Conflict, InvalidInput, NotFound
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from workers.assets.credit import standing_require
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.selectors import model_resolve
from workers.serving.events import (
    DeploymentCreated,
    DeploymentDeleted,
    DeploymentSlept,
    DeploymentWoken,
)
from workers.serving.models import SLEEP_AFTER_S, Deployment
from workers.serving.moves import deployment_move

LONGEST_SLEEP_AFTER_S = 7 * 24 * 3600
MOST_REPLICAS = 16


def deployment_create(
    *, actor: Actor, model: str, sleep_after_s: int = SLEEP_AFTER_S, max_replicas: int = 1
) -> Deployment:
    """Put a model of the tenant, or a catalogue base, on offer. It sleeps until the first request.

    Raises InvalidInput, NotFound for an unknown model, Conflict where it is on offer already,
    PermissionDenied (suspended tenant), InsufficientCredit.
    """
    actor.require("deployments.write")
    _check(sleep_after_s=sleep_after_s, max_replicas=max_replicas)
    found = model_resolve(model)
    standing_require(actor=actor, model=found.name)
    if Deployment.objects.filter(model=found.name, deleted_at__isnull=True).exists():
        raise Conflict(
            f"{found.name} already has a deployment; change that one instead", param="model"
        )
    row = _create(
        tenant_id=actor.tenant_id,
        base=found.base,
        version=found.version,
        sleep_after_s=sleep_after_s,
        max_replicas=max_replicas,
    )
    audit_record(actor=actor, action="deployment.create", target=row.id, data={"model": row.model})
    return row


def deployment_update(
    *,
    actor: Actor,
    deployment_id: str,
    sleep_after_s: int | None = None,
    max_replicas: int | None = None,
) -> Deployment:
    """Change when a deployment sleeps and how far it grows. Raises NotFound, InvalidInput."""
    actor.require("deployments.write")
    row = _locked(deployment_id)
    row.sleep_after_s = row.sleep_after_s if sleep_after_s is None else sleep_after_s
    row.max_replicas = row.max_replicas if max_replicas is None else max_replicas
    _check(sleep_after_s=row.sleep_after_s, max_replicas=row.max_replicas)
    row.save(update_fields=["sleep_after_s", "max_replicas"])
    audit_record(
        actor=actor,
        action="deployment.update",
        target=row.id,
        data={"sleep_after_s": row.sleep_after_s, "max_replicas": row.max_replicas},
    )
    return row


def deployment_wake(*, actor: Actor, deployment_id: str) -> Deployment:
    """Ask for a replica now, as a request would.

    Raises NotFound, PermissionDenied (suspended tenant), InsufficientCredit.
    """
    actor.require("deployments.write")
    row = _locked(deployment_id)
    standing_require(actor=actor, model=row.model)
    until = Now() + dt.timedelta(seconds=row.sleep_after_s)
    Deployment.objects.filter(pk=row.pk).update(wanted_until=Greatest(F("wanted_until"), until))
    if row.state == Deployment.State.ASLEEP:
        deployment_move(row, Deployment.State.WAKING)
        emit(DeploymentWoken(tenant_id=row.tenant_id, deployment_id=row.id, target=row.target))
    row.refresh_from_db()
    audit_record(actor=actor, action="deployment.wake", target=row.id)
    return row


def deployment_sleep(*, actor: Actor, deployment_id: str) -> Deployment:
    """Want no replica until the next request. Raises NotFound."""
    actor.require("deployments.write")
    row = _locked(deployment_id)
    if row.state != Deployment.State.ASLEEP:
        deployment_move(row, Deployment.State.ASLEEP, wanted_until=None)
        emit(DeploymentSlept(tenant_id=row.tenant_id, deployment_id=row.id, target=row.target))
        audit_record(actor=actor, action="deployment.sleep", target=row.id)
    return row


def deployment_delete(*, actor: Actor, deployment_id: str) -> Deployment:
    """Take a model off offer: calling it is then refused. Raises NotFound."""
    actor.require("deployments.write")
    row = _locked(deployment_id)
    deployment_move(
        row, Deployment.State.DELETED, wanted_until=None, deleted_at=dt.datetime.now(dt.UTC)
    )
    emit(DeploymentDeleted(tenant_id=row.tenant_id, deployment_id=row.id, model=row.model))
    audit_record(actor=actor, action="deployment.delete", target=row.id, data={"model": row.model})
    return row


def deployments_ensure_for_job(*, tenant_id: str, job_id: str) -> int:
    """Put the models that a job made on offer, asleep (handler of JobSucceeded; system scope).

    Returns how many are new. A deployment that the tenant deleted stays deleted.
    """
    versions = ModelVersion.objects.filter(
        tenant_id=tenant_id, job_id=job_id, deleted_at__isnull=True
    )
    known = set(
        Deployment.objects.filter(
            tenant_id=tenant_id, model__in=versions.values("name")
        ).values_list("model", flat=True)
    )
    fresh = [version for version in versions.select_related("base") if version.name not in known]
    for version in fresh:
        row = _create(tenant_id=tenant_id, base=version.base, version=version)
        audit_record(
            actor=system_actor(tenant_id),
            action="deployment.create",
            target=row.id,
            data={"model": row.model, "job_id": job_id},
        )
    return len(fresh)


def base_deployments_ensure(*, platform_id: str) -> int:
    """Offer every catalogue base to all tenants, as the platform's (system scope).

    Returns how many are new.
    """
    offered = Deployment.objects.filter(tenant_id=platform_id, deleted_at__isnull=True)
    missing: Iterable[BaseModel] = BaseModel.objects.exclude(pk__in=offered.values("model"))
    rows = [_create(tenant_id=platform_id, base=base, version=None) for base in missing]
    return len(rows)


def target_of(base: BaseModel, version: ModelVersion | None) -> str:
    """What a replica must have loaded: a full version itself, or what an adapter belongs on."""
    if version is None:
        return base.id
    if version.kind == ModelVersion.Kind.ADAPTER:
        return version.over_id or base.id
    return version.id


def _create(
    *,
    tenant_id: str,
    base: BaseModel,
    version: ModelVersion | None,
    sleep_after_s: int = SLEEP_AFTER_S,
    max_replicas: int = 1,
) -> Deployment:
    row: Deployment = Deployment.objects.create(
        id=new_id("dep_"),
        tenant_id=tenant_id,
        model=version.name if version else base.id,
        base=base,
        version=version,
        target=target_of(base, version),
        sleep_after_s=sleep_after_s,
        max_replicas=max_replicas,
    )
    emit(DeploymentCreated(tenant_id=tenant_id, deployment_id=row.id, model=row.model))
    return row


def _check(*, sleep_after_s: int, max_replicas: int) -> None:
    if not 10 <= sleep_after_s <= LONGEST_SLEEP_AFTER_S:
        raise InvalidInput(
            f"sleep_after_s must lie between 10 and {LONGEST_SLEEP_AFTER_S} seconds",
            param="sleep_after_s",
        )
    if not 1 <= max_replicas <= MOST_REPLICAS:
        raise InvalidInput(
            f"max_replicas must lie between 1 and {MOST_REPLICAS}", param="max_replicas"
        )


def _locked(deployment_id: str) -> Deployment:
    rows = Deployment.objects.select_for_update().filter(deleted_at__isnull=True)
    row: Deployment | None = rows.filter(pk=deployment_id).first()
    if row is None:
        raise NotFound(f"no deployment {deployment_id!r}", param="deployment_id")
    return row
