"""Who may set prices: operators, in the system's scope, who say why where it is unusual."""

from __future__ import annotations

from tenants.accounts.actors import Actor, ActorKind
from tenants.kernel.errors import InvalidInput, PermissionDenied
from tenants.kernel.scope import ScopeError, required_scope


def operators_only(actor: Actor) -> None:
    """Raises PermissionDenied for a customer, ScopeError outside the system's scope."""
    if actor.kind not in {ActorKind.OPERATOR, ActorKind.SYSTEM}:
        raise PermissionDenied("only the platform's operators set prices and contracts")
    system_only()


def system_only() -> None:
    """Raises ScopeError in a tenant's scope."""
    scope = required_scope()
    if scope.tenant_id is not None:
        raise ScopeError(f"prices and contracts are written by the system, not by {scope}")


def reason_checked(reason: str) -> str:
    """A reason of 10 characters at least, cut to 500. Raises InvalidInput."""
    if len(reason.strip()) < 10:
        raise InvalidInput("say why, in 10 characters at least", param="reason")
    return reason.strip()[:500]
