"""Whether a tenant may begin what will cost money. Reads only: what must not be passed is held."""

from __future__ import annotations

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.standing import tenant_require_active
from tenants.kernel.clock import now
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


def budget_labels(actor: Actor, model: str = "") -> dict[str, str]:
    """Whom work counts for in budgets."""
    labels = {"model": model} if model else {}
    if actor.kind == ActorKind.API_KEY:
        labels["api_key_id"] = actor.id
    return labels
