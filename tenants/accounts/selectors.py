"""Reads of accounts: who is behind a key, a login, a session."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.db import connections
from django.db.models import QuerySet

from tenants.accounts.actors import Actor, ActorKind, permissions
from tenants.accounts.api_keys import key_matches, key_prefix
from tenants.accounts.models import ApiKey, Member, Tenant, User
from tenants.accounts.roles import Role
from tenants.kernel.clock import now
from tenants.kernel.errors import NotFound, PermissionDenied, Unauthenticated
from tenants.kernel.scope import current_alias, system_scope

_WHERE_KEYS = "create one at /console/ or with POST /v1/api_keys"


def actor_by_api_key(secret: str, *, ip: str | None = None) -> Actor:
    """Return who stands behind an API key.

    Raises Unauthenticated, or PermissionDenied for a closed tenant or foreign IP.
    """
    prefix = key_prefix(secret)
    if prefix is None:
        raise Unauthenticated(f"this is not a Breakwater API key (bw-…); {_WHERE_KEYS}")
    with system_scope():
        row = ApiKey.objects.select_related("tenant").filter(prefix=prefix).first()
    if row is None or not key_matches(secret, row.hash):
        raise Unauthenticated(f"incorrect API key bw-{prefix}-…; {_WHERE_KEYS}")
    return api_key_actor(row, ip=ip)


def api_key_actor(row: ApiKey, *, ip: str | None) -> Actor:
    """Check a key that was found and matched. Raises as `actor_by_api_key` does."""
    if row.revoked_at is not None:
        raise Unauthenticated("this API key was revoked", code="revoked_api_key")
    if row.expires_at is not None and row.expires_at <= now():
        raise Unauthenticated(
            f"this API key expired at {row.expires_at:%Y-%m-%d %H:%M} UTC; {_WHERE_KEYS}",
            code="expired_api_key",
        )
    if row.allowed_ips and not _is_among(ip, row.allowed_ips):
        raise PermissionDenied(f"this API key may not be used from {ip}", code="ip_not_allowed")
    if row.tenant.status == Tenant.Status.CLOSED:
        raise PermissionDenied("this organisation's account is closed", code="tenant_closed")
    role = Role(row.role)
    return Actor(
        kind=ActorKind.API_KEY,
        id=row.id,
        tenant_id=row.tenant_id,
        may=permissions(role, row.scopes),
        role=role,
    )


def _is_among(ip: str | None, allowed: Sequence[str]) -> bool:
    """Compares addresses, not their spellings; an IPv4 address may arrive mapped into IPv6."""
    try:
        address: IPv4Address | IPv6Address = ip_address(ip or "")
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address in {ip_address(value) for value in allowed}


def tenant_is_closed(tenant_id: str) -> bool:
    """Whether an organisation's account has ended; False for an unknown one."""
    return Tenant.objects.filter(pk=tenant_id, status=Tenant.Status.CLOSED).exists()


def memberships_of(user: User) -> list[Member]:
    """Return a user's memberships across tenants, oldest first (system scope inside)."""
    with system_scope():
        rows = Member.objects.select_related("tenant").filter(user_id=user.pk)
        return list(rows.exclude(tenant__status=Tenant.Status.CLOSED).order_by("created_at"))


def actor_by_member(member: Member) -> Actor:
    role = Role(member.role)
    return Actor(
        kind=ActorKind.MEMBER,
        id=member.user_id,
        tenant_id=member.tenant_id,
        may=permissions(role),
        role=role,
    )


def actor_by_operator(user: User, *, tenant_id: str) -> Actor:
    """Staff acting on `tenant_id`'s things. Raises PermissionDenied for anyone else."""
    if not (user.is_active and user.is_staff):
        raise PermissionDenied("this page is for the platform's operators")
    return Actor(kind=ActorKind.OPERATOR, id=user.id, tenant_id=tenant_id)


def tenant_get(tenant_id: str) -> Tenant:
    """Return a tenant that the scope shows. Raises NotFound."""
    row = Tenant.objects.filter(pk=tenant_id).first()
    if row is None:
        raise NotFound(f"no organisation {tenant_id!r}", param="tenant_id")
    return row


def platform_tenant() -> Tenant:
    """Return the tenant that is the platform itself.

    Raises Tenant.DoesNotExist before the first migration.
    """
    return Tenant.objects.get(is_platform=True)


def user_id_by_email(email: str) -> str | None:
    """Find a user in any tenant by exact address, and learn nothing else of them."""
    with connections[current_alias()].cursor() as cursor:
        cursor.execute("SELECT account_user_id_by_email(%s)", [email.strip().lower()])
        found: str | None = cursor.fetchone()[0]
    return found


def api_keys_visible() -> QuerySet[ApiKey]:
    """Every key of the tenant in scope, revoked ones too."""
    rows: QuerySet[ApiKey] = ApiKey.objects.all()
    return rows


def api_key_get(api_key_id: str) -> ApiKey:
    """Raises NotFound."""
    row = api_keys_visible().filter(pk=api_key_id).first()
    if row is None:
        raise NotFound(f"no API key {api_key_id!r}", param="api_key_id")
    return row


def members_visible() -> QuerySet[Member]:
    """The members of the tenant in scope, each with its user."""
    rows: QuerySet[Member] = Member.objects.select_related("user")
    return rows


def member_get(member_id: str) -> Member:
    """Raises NotFound."""
    row = members_visible().filter(pk=member_id).first()
    if row is None:
        raise NotFound(f"no member {member_id!r}", param="member_id")
    return row
