"""What only a tenant may decide is suggested to it, by an event that its webhooks bring.

It never learns of costs, nor of whom it would share passes with (decision 0019).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenants.accounts.actors import Actor
from tenants.accounts.models import Tenant
from tenants.kernel.errors import Conflict
from tenants.kernel.outbox import emit
from workers.serving.models import Deployment
from workers.waste.events import CompressionProposed, SharingSuggested


def sharing_state(subject: str, arguments: Mapping[str, Any]) -> Any:
    """Whether the tenant lets its fine-tunes share passes."""
    del arguments
    tenant_id, _, base, _ = subject.split(":")
    found = Tenant.objects.filter(pk=tenant_id).values_list("shares_passes", "status").first()
    return {"tenant": found, "base": base}


def suggest_sharing(actor: Actor, subject: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Suggest that the tenant let its fine-tunes of the base share passes.

    Raises Conflict where it does already.
    """
    del actor, arguments
    tenant_id, _, base, _ = subject.split(":")
    if Tenant.objects.filter(pk=tenant_id, shares_passes=True).exists():
        raise Conflict(f"{tenant_id} shares passes already", code="shares_already")
    emit(SharingSuggested(tenant_id=tenant_id, base=base))
    return {}


def target_state(subject: str, arguments: Mapping[str, Any]) -> Any:
    """Which deployments serve the dense model."""
    del arguments
    rows = Deployment.objects.filter(target=subject, deleted_at__isnull=True)
    return sorted(rows.values_list("tenant_id", "model"))


def propose_compression(
    actor: Actor, subject: str, arguments: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Propose to each tenant that serves it a compression to the share of time that was measured.

    Raises Conflict where nobody serves it any more.
    """
    del actor
    rows = list(Deployment.objects.filter(target=subject, deleted_at__isnull=True))
    if not rows:
        raise Conflict(f"{subject} is not on offer any more", code="not_on_offer")
    for row in rows:
        emit(
            CompressionProposed(
                tenant_id=row.tenant_id,
                deployment_id=row.id,
                model=row.model,
                latency=str(arguments["time"]),
            )
        )
    return {}
