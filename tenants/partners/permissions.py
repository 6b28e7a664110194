"""Who may do what with partners."""

from __future__ import annotations

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.models import Tenant
from tenants.kernel.errors import InvalidInput, NotFound, PermissionDenied


def staff_only(actor: Actor) -> None:
    """Raises PermissionDenied for all but operators and the platform itself."""
    if actor.kind not in {ActorKind.OPERATOR, ActorKind.SYSTEM}:
        raise PermissionDenied("only operators do this", code="operators_only")


def partner_only(actor: Actor) -> None:
    """Raises PermissionDenied for a tenant that is no partner."""
    if not Tenant.objects.filter(pk=actor.tenant_id, is_partner=True).exists():
        raise PermissionDenied(
            "only partners do this; ask the operator to make your organisation one",
            code="not_a_partner",
        )


def partner_get(partner_id: str) -> Tenant:
    """Return a partner's tenant. Raises NotFound, InvalidInput where it is no partner."""
    tenant: Tenant | None = Tenant.objects.filter(pk=partner_id).first()
    if tenant is None:
        raise NotFound(f"no organisation {partner_id!r}", param="partner_id")
    if not tenant.is_partner:
        raise InvalidInput(f"{tenant.name} is no partner", param="partner_id", code="not_a_partner")
    return tenant
