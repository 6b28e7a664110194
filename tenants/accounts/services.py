"""Changes to tenants, members and API keys. Each writes its audit row and its event with it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.text import slugify

from tenants.accounts.actors import Actor, ActorKind, permissions, system_actor
from tenants.accounts.api_keys import fresh_key
from tenants.accounts.audit import audit_record
from tenants.accounts.events import (
    ApiKeyCreated,
    ApiKeyRevoked,
    MemberChanged,
    TenantSharingSet,
    TenantSignedUp,
)
from tenants.accounts.models import ApiKey, Member, Tenant, User
from tenants.accounts.roles import GRANTS, SCOPES, Role
from tenants.accounts.selectors import user_id_by_email
from tenants.kernel.clock import now
from tenants.kernel.crypto import data_key_create
from tenants.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from tenants.kernel.ids import new_id
from tenants.kernel.locks import AdvisoryLock, advisory_lock
from tenants.kernel.outbox import emit
from tenants.kernel.scope import system_scope

PLATFORM_SLUG = "platform"
PASSING_KEY_LIFE = dt.timedelta(minutes=15)


@dataclass(frozen=True)
class SignedUp:
    tenant: Tenant
    user: User
    member: Member


@dataclass(frozen=True)
class IssuedKey:
    """`secret` is shown once."""

    row: ApiKey
    secret: str


def tenant_sign_up(
    *, organisation: str, email: str, password: str, name: str = "", is_partner: bool = False
) -> SignedUp:
    """Make a tenant with its data key and first owner. Raises InvalidInput, Conflict.

    Runs in the system's scope: there is no tenant yet to act for.
    """
    organisation = organisation.strip()
    if not 1 <= len(organisation) <= 120:
        raise InvalidInput("an organisation's name has 1 to 120 characters", param="organisation")
    with system_scope():
        advisory_lock(AdvisoryLock.SIGN_UP, "")  # two of one name at once get two slugs
        user = user_create(email=email, password=password, name=name)
        tenant = Tenant.objects.create(
            id=new_id("ten_"),
            name=organisation,
            slug=_free_slug(organisation),
            is_partner=is_partner,
        )
        return _open_tenant(tenant, user)


def _open_tenant(tenant: Tenant, user: User) -> SignedUp:
    data_key_create(tenant_id=tenant.id)
    member: Member = Member.objects.create(
        id=new_id("mem_"), tenant_id=tenant.id, user=user, role=Role.OWNER
    )
    actor = Actor(kind=ActorKind.MEMBER, id=user.id, tenant_id=tenant.id, role=Role.OWNER)
    audit_record(actor=actor, action="tenant.sign_up", target=tenant.id)
    emit(TenantSignedUp(tenant_id=tenant.id, name=tenant.name))
    return SignedUp(tenant=tenant, user=user, member=member)


def tenant_sharing_set(*, actor: Actor, shares_passes: bool) -> Tenant:
    """Say whether the actor's tenant lets its fine-tunes be computed together with others'.

    Holds from each job's next attempt on. Raises PermissionDenied, NotFound.
    """
    actor.require("tenant.write")
    tenant = Tenant.objects.select_for_update().filter(pk=actor.tenant_id).first()
    if tenant is None:
        raise NotFound(f"no organisation {actor.tenant_id!r}", param="tenant_id")
    if tenant.shares_passes != shares_passes:
        tenant.shares_passes = shares_passes
        tenant.save(update_fields=["shares_passes"])
        audit_record(
            actor=actor,
            action="tenant.sharing_set",
            target=tenant.id,
            data={"shares_passes": shares_passes},
        )
        emit(TenantSharingSet(tenant_id=tenant.id, shares_passes=shares_passes))
    return tenant


def platform_tenant_ensure(*, name: str = "Breakwater") -> Tenant:
    """Return the tenant that is the platform itself, made on first call (system scope)."""
    with system_scope():
        tenant, created = Tenant.objects.get_or_create(
            is_platform=True, defaults={"id": new_id("ten_"), "name": name, "slug": PLATFORM_SLUG}
        )
        if created:
            data_key_create(tenant_id=tenant.id)
            audit_record(
                actor=system_actor(tenant.id), action="tenant.create_platform", target=tenant.id
            )
        return tenant


def user_create(*, email: str, password: str, name: str = "", is_staff: bool = False) -> User:
    """Make a person who can sign in.

    Raises InvalidInput for a bad address or weak password, Conflict if taken.
    """
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise InvalidInput(f"{email!r} is not an e-mail address", param="email") from error
    if len(name.strip()) > 120:
        raise InvalidInput("a person's name has at most 120 characters", param="name")
    try:
        validate_password(password, User(email=email, name=name))
    except ValidationError as error:
        raise InvalidInput(" ".join(error.messages), param="password") from error
    with system_scope():
        advisory_lock(AdvisoryLock.SIGN_UP, "")
        if User.objects.filter(email=email).exists():
            raise Conflict(f"{email} already has an account; sign in instead", param="email")
        return User.objects.create_user(email, password, name=name.strip(), is_staff=is_staff)


def _free_slug(organisation: str) -> str:
    """A short name for model ids: letters, digits and dashes; numbered where it is taken."""
    stem = re.sub(r"[^a-z0-9-]", "", slugify(organisation))[:24].strip("-") or "org"
    taken = set(Tenant.objects.filter(slug__startswith=stem).values_list("slug", flat=True))
    taken.add(PLATFORM_SLUG)
    candidates = (
        stem if number == 1 else f"{stem}-{number}" for number in range(1, len(taken) + 2)
    )
    return next(slug for slug in candidates if slug not in taken)


def member_add(*, actor: Actor, email: str, role: str) -> Member:
    """Give an existing user a role in the actor's tenant.

    Raises InvalidInput, NotFound, Conflict.
    """
    actor.require("members.write")
    granted = _role(role)
    _refuse_above(actor, granted, permissions(granted))
    user_id = user_id_by_email(email)
    if user_id is None:
        raise NotFound(f"{email} has no account yet; ask them to sign up first", param="email")
    member: Member
    member, is_new = Member.objects.get_or_create(
        tenant_id=actor.tenant_id,
        user_id=user_id,
        defaults={"id": new_id("mem_"), "role": granted},
    )
    if not is_new:
        raise Conflict(f"{email} is already a member", param="email")
    audit_record(actor=actor, action="member.add", target=member.id, data={"role": granted})
    emit(MemberChanged(tenant_id=actor.tenant_id, member_id=member.id, role=granted))
    return member


def member_set_role(*, actor: Actor, member_id: str, role: str) -> Member:
    """Change a member's role. Raises NotFound, InvalidInput, Conflict for the last owner."""
    actor.require("members.write")
    granted = _role(role)
    member = _member_locked(member_id)
    _refuse_above(actor, granted, permissions(granted))
    _refuse_above(actor, Role(member.role), permissions(Role(member.role)))
    if granted != Role.OWNER:
        _refuse_last_owner(member)
    member.role = granted
    member.save(update_fields=["role"])
    audit_record(actor=actor, action="member.set_role", target=member.id, data={"role": granted})
    emit(MemberChanged(tenant_id=actor.tenant_id, member_id=member.id, role=granted))
    return member


def member_remove(*, actor: Actor, member_id: str) -> None:
    """Take a member out of the tenant. Raises NotFound, Conflict for the last owner."""
    actor.require("members.write")
    member = _member_locked(member_id)
    _refuse_above(actor, Role(member.role), permissions(Role(member.role)))
    _refuse_last_owner(member)
    member.delete()
    audit_record(actor=actor, action="member.remove", target=member_id)
    emit(MemberChanged(tenant_id=actor.tenant_id, member_id=member_id, role=None))


def api_key_create(
    *,
    actor: Actor,
    name: str,
    role: str = Role.DEVELOPER,
    scopes: Sequence[str] = (),
    expires_at: dt.datetime | None = None,
    allowed_ips: Sequence[str] = (),
) -> IssuedKey:
    """Issue a key for the actor's tenant.

    Raises InvalidInput, PermissionDenied for more than the actor may do.
    """
    actor.require("keys.write")
    granted = _role(role)
    _refuse_above(actor, granted, permissions(granted, tuple(scopes)))
    unknown = sorted(set(scopes) - SCOPES)
    if unknown:
        raise InvalidInput(
            f"unknown scopes {', '.join(unknown)}; known are {', '.join(sorted(SCOPES))}",
            param="scopes",
        )
    if expires_at is not None and expires_at <= now():
        raise InvalidInput("expires_at lies in the past", param="expires_at")
    if not 1 <= len(name.strip()) <= 120:
        raise InvalidInput("a key's name has 1 to 120 characters", param="name")
    return _issue(
        actor=actor,
        name=name.strip(),
        role=granted,
        scopes=scopes,
        expires_at=expires_at,
        allowed_ips=allowed_ips,
    )


def passing_key_create(*, actor: Actor, name: str, scopes: Sequence[str]) -> IssuedKey:
    """Issue a key for minutes, of the actor's own role narrowed to `scopes` that the actor holds.

    For pages that speak to the API in a member's name; needs no right to manage keys.
    Raises PermissionDenied.
    """
    for scope in scopes:
        actor.require(scope)
    if actor.role is None or not scopes:
        raise PermissionDenied("a passing key is made by a member, for named scopes")
    return _issue(
        actor=actor,
        name=name,
        role=actor.role,
        scopes=scopes,
        expires_at=now() + PASSING_KEY_LIFE,
        allowed_ips=(),
    )


def _issue(
    *,
    actor: Actor,
    name: str,
    role: Role,
    scopes: Sequence[str],
    expires_at: dt.datetime | None,
    allowed_ips: Sequence[str],
) -> IssuedKey:
    fresh = fresh_key()
    row: ApiKey = ApiKey.objects.create(
        id=new_id("key_"),
        tenant_id=actor.tenant_id,
        name=name,
        prefix=fresh.prefix,
        hash=fresh.hash,
        role=role,
        scopes=list(scopes),
        allowed_ips=[_address(ip) for ip in allowed_ips],
        created_by_id=actor.id if actor.kind is ActorKind.MEMBER else None,
        expires_at=expires_at,
    )
    audit_record(actor=actor, action="api_key.create", target=row.id, data={"name": row.name})
    emit(ApiKeyCreated(tenant_id=actor.tenant_id, api_key_id=row.id))
    return IssuedKey(row=row, secret=fresh.secret)


def api_key_revoke(*, actor: Actor, api_key_id: str) -> ApiKey:
    """End a key at once; revoking it again changes nothing. Raises NotFound."""
    actor.require("keys.write")
    row = _api_key_locked(api_key_id)
    if row.revoked_at is None:
        row.revoked_at = now()
        row.save(update_fields=["revoked_at"])
        audit_record(actor=actor, action="api_key.revoke", target=row.id)
        emit(ApiKeyRevoked(tenant_id=row.tenant_id, api_key_id=row.id))
    return row


def api_key_rotate(*, actor: Actor, api_key_id: str, overlap: dt.timedelta) -> IssuedKey:
    """Issue a successor with the same rights and length of life; the old lives on for `overlap`.

    Raises NotFound, Conflict, InvalidInput.
    """
    actor.require("keys.write")
    old = _api_key_locked(api_key_id)
    ended = old.revoked_at or (old.expires_at and old.expires_at <= now())
    if ended:
        raise Conflict("a key that has ended cannot be rotated; create one", param="api_key_id")
    if overlap < dt.timedelta(0):
        raise InvalidInput("the overlap is at least 0 seconds", param="overlap_s")
    issued = api_key_create(
        actor=actor,
        name=old.name,
        role=old.role,
        scopes=old.scopes,
        expires_at=now() + (old.expires_at - old.created_at) if old.expires_at else None,
        allowed_ips=old.allowed_ips,
    )
    ends = now() + overlap
    old.expires_at = min(old.expires_at, ends) if old.expires_at else ends
    old.save(update_fields=["expires_at"])
    audit_record(
        actor=actor, action="api_key.rotate", target=old.id, data={"successor": issued.row.id}
    )
    return issued


def api_key_touch(*, api_key_id: str) -> None:
    """Remember that a key was used, to the minute (system scope)."""
    minute_ago = now() - dt.timedelta(minutes=1)
    rows = ApiKey.objects.filter(pk=api_key_id)
    rows.exclude(last_used_at__gt=minute_ago).update(last_used_at=Now())


def _role(value: str) -> Role:
    try:
        return Role(value)
    except ValueError as error:
        known = ", ".join(GRANTS)
        raise InvalidInput(
            f"unknown role {value!r}; choose one of {known}", param="role"
        ) from error


def _refuse_above(actor: Actor, role: Role, granted: frozenset[str]) -> None:
    """Nobody hands out, changes or removes more than they may do; a key's scopes bind it too."""
    if actor.role is None:
        return
    if not granted <= actor.may or (role is Role.OWNER and actor.role is not Role.OWNER):
        raise PermissionDenied(
            f"you cannot manage the role {role.value!r}: it may do more than you may",
            code="missing_permission",
        )


def _address(value: str) -> str:
    try:
        return str(ip_address(value.strip()))
    except ValueError as error:
        raise InvalidInput(f"{value!r} is not an IP address", param="allowed_ips") from error


def _refuse_last_owner(member: Member) -> None:
    """The owners are locked: see `_member_locked`."""
    owners = Member.objects.filter(role=Role.OWNER)
    if member.role == Role.OWNER and not owners.exclude(pk=member.pk).exists():
        raise Conflict("an organisation keeps at least one owner; name another first")


def _member_locked(member_id: str) -> Member:
    """Lock a member and, so that two owners cannot remove each other, all owners, ordered by pk."""
    rows = Member.objects.select_for_update().filter(Q(pk=member_id) | Q(role=Role.OWNER))
    member: Member | None = next((r for r in rows.order_by("pk") if r.pk == member_id), None)
    if member is None:
        raise NotFound(f"no member {member_id!r}", param="member_id")
    return member


def _api_key_locked(api_key_id: str) -> ApiKey:
    row: ApiKey | None = ApiKey.objects.select_for_update().filter(pk=api_key_id).first()
    if row is None:
        raise NotFound(f"no API key {api_key_id!r}", param="api_key_id")
    return row
