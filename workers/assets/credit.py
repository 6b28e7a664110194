"""Whether a tenant may begin what will cost money. Reads only: what must not be passed is held."""

from __future__ import annotations

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.models import Tenant
from tenants.kernel.clock import now
from tenants.kernel.errors import PermissionDenied
from tenants.ledger.services import credit_require
from tenants.pricing.selectors import rate_card


def standing_require(*, actor: Actor, model: str = "") -> None:
    """Refuse where the actor's tenant may begin nothing that costs money.

    Raises PermissionDenied for a suspended tenant, InsufficientCredit without credit or where a
    hard budget of the tenant, the API key or `model` is used up.
    """
    tenant = tenant_require_active(actor)
    if not tenant.is_platform:
        credit_require(
            tenant_id=actor.tenant_id,
            currency=rate_card(actor.tenant_id, now()).currency,
            labels=budget_labels(actor, model),
        )


def tenant_require_active(actor: Actor) -> Tenant:
    """Return the actor's tenant. Raises PermissionDenied where it may start no work."""
    tenant: Tenant = Tenant.objects.get(pk=actor.tenant_id)
    if tenant.status != Tenant.Status.ACTIVE:
        raise PermissionDenied(
            f"your organisation is {tenant.status}; it may read and pay, but start no work",
            code="tenant_suspended",
        )
    return tenant


def budget_labels(actor: Actor, model: str = "") -> dict[str, str]:
    """Whom work counts for in budgets."""
    labels = {"model": model} if model else {}
    if actor.kind == ActorKind.API_KEY:
        labels["api_key_id"] = actor.id
    return labels
