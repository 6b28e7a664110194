"""Who may bill: the platform's operators and the platform itself, in the system's scope."""

from __future__ import annotations

from tenants.accounts.actors import Actor, ActorKind
from tenants.kernel.errors import PermissionDenied
from tenants.kernel.scope import ScopeError, required_scope


def operators_only(actor: Actor) -> None:
    """Raises PermissionDenied for anyone else, ScopeError outside of the system's scope."""
    system_only()
    if actor.kind not in {ActorKind.OPERATOR, ActorKind.SYSTEM}:
        raise PermissionDenied("only the platform's operators change invoices and payments")


def system_only() -> None:
    """Raises ScopeError outside of the system's scope."""
    scope = required_scope()
    if scope.tenant_id is not None:
        raise ScopeError(f"invoices and payments are written by the system, not for {scope}")
