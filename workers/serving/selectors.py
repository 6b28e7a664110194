"""Reads of deployments."""

from __future__ import annotations

from tenants.kernel.errors import NotFound
from tenants.kernel.tenancy import TenantQuerySet
from workers.serving.models import Deployment


def deployments_visible() -> TenantQuerySet[Deployment]:
    """The tenant's deployments, newest first; without deleted ones and those of deleted models."""
    rows: TenantQuerySet[Deployment] = Deployment.objects.filter(
        deleted_at__isnull=True, version__deleted_at__isnull=True
    )
    return rows.select_related("base", "version").order_by("-id")


def deployment_get(deployment_id: str) -> Deployment:
    """Raises NotFound."""
    row = deployments_visible().filter(pk=deployment_id).first()
    if row is None:
        raise NotFound(f"no deployment {deployment_id!r}", param="deployment_id")
    return row


def deployment_of(model: str) -> Deployment | None:
    """The tenant's deployment of the model named `model`, if it has one."""
    return deployments_visible().filter(model=model).first()
