"""Builders for tests about tenants, members and keys."""

from __future__ import annotations

import itertools
from typing import Any

from tenants.accounts.actors import Actor
from tenants.accounts.models import Member
from tenants.accounts.roles import Role
from tenants.accounts.selectors import actor_by_member
from tenants.accounts.services import (
    IssuedKey,
    SignedUp,
    api_key_create,
    member_add,
    tenant_sign_up,
)
from tenants.kernel.scope import tenant_scope
from tests.credit import credit_give

PASSWORD = "correct horse battery 9"
_numbers = itertools.count(1)


def email_make() -> str:
    return f"person{next(_numbers)}@example.test"


def tenant_make(organisation: str = "Acme", *, has_credit: bool = True) -> SignedUp:
    """A tenant with its first owner, and credit unless its books are to start empty."""
    signed_up = tenant_sign_up(organisation=organisation, email=email_make(), password=PASSWORD)
    if has_credit:
        credit_give(signed_up.tenant.id)
    return signed_up


def owner_of(tenant: SignedUp) -> Actor:
    return actor_by_member(tenant.member)


def member_make(tenant: SignedUp, role: Role) -> tuple[Member, Actor]:
    """Another person, who joins `tenant` in `role`."""
    email = tenant_make("Elsewhere").user.email
    with tenant_scope(tenant.tenant.id):
        member = member_add(actor=owner_of(tenant), email=email, role=role)
    return member, actor_by_member(member)


def key_make(tenant: SignedUp, **fields: Any) -> IssuedKey:
    with tenant_scope(tenant.tenant.id):
        return api_key_create(actor=owner_of(tenant), **{"name": "a key", **fields})
