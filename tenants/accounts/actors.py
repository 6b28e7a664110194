"""Who acts: a member at the console, an API key, an operator, or the platform itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tenants.accounts.roles import GRANTS, Role
from tenants.kernel.errors import PermissionDenied


class ActorKind(StrEnum):
    MEMBER = "member"
    API_KEY = "api_key"
    OPERATOR = "operator"
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """One who acts for `tenant_id`. `may` holds what its role, and its key's scopes, allow.

    An operator without a role is staff at operations, who may everything; one with a role came
    with a key of the platform's tenant, and its scopes bind it.
    """

    kind: ActorKind
    id: str
    tenant_id: str
    may: frozenset[str] = field(default_factory=frozenset)
    role: Role | None = None

    def require(self, permission: str) -> None:
        """Raises PermissionDenied unless this actor may do `permission`."""
        is_staff = self.kind is ActorKind.OPERATOR and self.role is None
        if self.kind is ActorKind.SYSTEM or is_staff or permission in self.may:
            return
        who = f"the role {self.role.value!r}" if self.role else "this key"
        raise PermissionDenied(
            f"{who} lacks the permission {permission!r}; ask an owner of your organisation",
            code="missing_permission",
        )


def permissions(role: Role, scopes: list[str] | tuple[str, ...] = ()) -> frozenset[str]:
    """What `role` may do, narrowed to `scopes` where there are any."""
    granted = GRANTS[role]
    return granted & frozenset(scopes) if scopes else granted


def system_actor(tenant_id: str) -> Actor:
    return Actor(kind=ActorKind.SYSTEM, id="system", tenant_id=tenant_id)
