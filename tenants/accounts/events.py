"""Facts about accounts."""

from __future__ import annotations

from dataclasses import dataclass

from tenants.kernel.events import Event


@dataclass(frozen=True)
class TenantSignedUp(Event, name="tenant.signed_up", aggregate="tenant_id"):
    name: str


@dataclass(frozen=True)
class ApiKeyCreated(Event, name="api_key.created", aggregate="api_key_id"):
    api_key_id: str


@dataclass(frozen=True)
class ApiKeyRevoked(Event, name="api_key.revoked", aggregate="api_key_id"):
    """A key ended: refused from the next request on."""

    api_key_id: str


@dataclass(frozen=True)
class MemberChanged(Event, name="member.changed", aggregate="member_id"):
    member_id: str
    role: str | None  # None: removed


@dataclass(frozen=True)
class TenantSuspended(Event, name="tenant.suspended", aggregate="tenant_id"):
    """It reads and pays, but starts no work."""

    reason: str


@dataclass(frozen=True)
class TenantReactivated(Event, name="tenant.reactivated", aggregate="tenant_id"):
    """It works again."""

    reason: str


@dataclass(frozen=True)
class TenantSharingSet(Event, name="tenant.sharing_set", aggregate="tenant_id"):
    """It said whether its fine-tunes may share passes over a base with others'."""

    shares_passes: bool


@dataclass(frozen=True)
class TenantClosed(Event, name="tenant.closed", aggregate="tenant_id"):
    """Its account has ended; its data is kept."""

    reason: str
