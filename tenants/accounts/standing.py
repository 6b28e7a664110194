"""A tenant's standing: active, suspended, closed; who may change it, and what is told of it.

Suspended: it reads and pays, and starts no work. Closed: its keys and logins end. Data is kept.
All in the system's scope.
"""

from __future__ import annotations

from collections.abc import Mapping

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.audit import audit_record
from tenants.accounts.events import TenantClosed, TenantReactivated, TenantSuspended
from tenants.accounts.models import Tenant
from tenants.kernel.errors import Conflict, NotFound, PermissionDenied
from tenants.kernel.events import Event
from tenants.kernel.outbox import emit

_MOVES: Mapping[str, frozenset[str]] = {
    Tenant.Status.ACTIVE: frozenset({Tenant.Status.SUSPENDED, Tenant.Status.CLOSED}),
    Tenant.Status.SUSPENDED: frozenset({Tenant.Status.ACTIVE, Tenant.Status.CLOSED}),
    Tenant.Status.CLOSED: frozenset(),
}


def tenant_require_active(actor: Actor) -> Tenant:
    """Return the actor's tenant. Raises PermissionDenied where it may start no work."""
    tenant: Tenant = Tenant.objects.get(pk=actor.tenant_id)
    if tenant.status != Tenant.Status.ACTIVE:
        raise PermissionDenied(
            f"your organisation is {tenant.status}; it may read and pay, but start no work",
            code="tenant_suspended",
        )
    return tenant


def tenant_suspend(*, actor: Actor, reason: str) -> Tenant:
    """Refuse the actor's tenant new work; suspending it again changes nothing.

    Raises PermissionDenied, NotFound, Conflict for a closed one or the platform's own.
    """
    told = TenantSuspended(tenant_id=actor.tenant_id, reason=reason)
    return _move(actor, Tenant.Status.SUSPENDED, "tenant.suspend", told, reason)


def tenant_reactivate(*, actor: Actor, reason: str) -> Tenant:
    """Let a suspended tenant work again; an active one stays as it is.

    Raises PermissionDenied, NotFound, Conflict for a closed one.
    """
    told = TenantReactivated(tenant_id=actor.tenant_id, reason=reason)
    return _move(actor, Tenant.Status.ACTIVE, "tenant.reactivate", told, reason)


def tenant_close(*, actor: Actor, reason: str) -> Tenant:
    """End the tenant's account for good; closing it again changes nothing.

    Raises PermissionDenied, NotFound, Conflict for the platform's own.
    """
    told = TenantClosed(tenant_id=actor.tenant_id, reason=reason)
    return _move(actor, Tenant.Status.CLOSED, "tenant.close", told, reason)


def _move(actor: Actor, status: str, action: str, told: Event, reason: str) -> Tenant:
    if actor.kind not in {ActorKind.OPERATOR, ActorKind.SYSTEM}:
        raise PermissionDenied("only the platform's operators change an organisation's standing")
    tenant = Tenant.objects.select_for_update().filter(pk=actor.tenant_id).first()
    if tenant is None:
        raise NotFound(f"no organisation {actor.tenant_id!r}", param="tenant_id")
    if tenant.status == status:
        return tenant
    if tenant.is_platform or status not in _MOVES[tenant.status]:
        what = "the platform itself" if tenant.is_platform else f"{tenant.status} organisation"
        raise Conflict(f"{what} cannot become {status}", code="tenant_standing")
    tenant.status = status
    tenant.save(update_fields=["status"])
    audit_record(actor=actor, action=action, target=tenant.id, data={"reason": reason})
    emit(told)
    return tenant
