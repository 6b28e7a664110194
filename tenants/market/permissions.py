"""Who writes down what the market does: operators, in the system's scope."""

from __future__ import annotations

from tenants.accounts.actors import Actor, ActorKind
from tenants.kernel.errors import PermissionDenied
from tenants.kernel.scope import ScopeError, required_scope


def operators_only(actor: Actor) -> None:
    """Raises PermissionDenied for a customer, ScopeError outside the system's scope."""
    if actor.kind not in {ActorKind.OPERATOR, ActorKind.SYSTEM}:
        raise PermissionDenied("only the platform's operators keep the market's records")
    system_only()


def system_only() -> None:
    """Raises ScopeError in a tenant's scope, the platform's too."""
    scope = required_scope()
    if scope.tenant_id is not None:
        raise ScopeError(f"the market is the platform's own; {scope} neither reads nor writes it")
