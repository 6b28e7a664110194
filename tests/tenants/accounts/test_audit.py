"""No change without a trace: every service that takes an actor writes its audit row with it."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable

import pytest
import structlog

from tenants.accounts import services
from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.accounts.models import AuditEntry
from tenants.accounts.roles import Role
from tenants.accounts.services import SignedUp
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import ScopeError, system_scope, tenant_scope
from tests.tenants.accounts.factories import (
    PASSWORD,
    email_make,
    key_make,
    member_make,
    owner_of,
    tenant_make,
)

pytestmark = pytest.mark.django_db


def other_email() -> str:
    return tenant_make("Elsewhere").user.email


# Service → how to call it in a tenant's scope. Prepared outside of the scope, called inside.
Prepared = Callable[[], object]
CHANGES: dict[str, Callable[[SignedUp, Actor], Prepared]] = {
    "member_add": lambda t, a: _call("member_add", actor=a, email=other_email(), role="viewer"),
    "member_set_role": lambda t, a: _call(
        "member_set_role", actor=a, member_id=member_make(t, Role.VIEWER)[0].id, role="billing"
    ),
    "member_remove": lambda t, a: _call(
        "member_remove", actor=a, member_id=member_make(t, Role.VIEWER)[0].id
    ),
    "tenant_sharing_set": lambda t, a: _call("tenant_sharing_set", actor=a, shares_passes=True),
    "api_key_create": lambda t, a: _call("api_key_create", actor=a, name="k"),
    "passing_key_create": lambda t, a: _call(
        "passing_key_create", actor=a, name="k", scopes=["inference"]
    ),
    "api_key_revoke": lambda t, a: _call("api_key_revoke", actor=a, api_key_id=key_make(t).row.id),
    "api_key_rotate": lambda t, a: _call(
        "api_key_rotate", actor=a, api_key_id=key_make(t).row.id, overlap=dt.timedelta(0)
    ),
}
# Services without an actor: service → why, or what stands in for one.
WITHOUT_ACTOR = {
    "tenant_sign_up": "the new owner is the actor: tested below",
    "platform_tenant_ensure": "the system is the actor: tested below",
    "user_create": "a person alone belongs to no tenant, whose trail could tell of it",
    "api_key_touch": "remembers a use, changes nothing that anyone decided",
}


def _call(service: str, /, **arguments: object) -> Prepared:
    return lambda: getattr(services, service)(**arguments)


def test_every_service_is_covered_or_says_why_not() -> None:
    public = {
        name
        for name, function in inspect.getmembers(services, inspect.isfunction)
        if function.__module__ == services.__name__ and not name.startswith("_")
    }
    assert public == CHANGES.keys() | WITHOUT_ACTOR.keys()
    for name in CHANGES:
        assert "actor" in inspect.signature(getattr(services, name)).parameters


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_leaves_its_trace_and_its_event_in_the_same_transaction(name: str) -> None:
    tenant = tenant_make()
    actor = owner_of(tenant)
    act = CHANGES[name](tenant, actor)
    before, events = trail(tenant), emitted(tenant)

    with pytest.raises(ZeroDivisionError), tenant_scope(tenant.tenant.id):
        act_and_fail(act)
    assert (trail(tenant), emitted(tenant)) == (before, events)

    with tenant_scope(tenant.tenant.id):
        act()
    fresh = trail(tenant)[len(before) :]
    assert fresh
    assert {(e.actor_kind, e.actor_id) for e in fresh} == {("member", tenant.user.pk)}
    assert emitted(tenant) > events


def act_and_fail(act: Prepared) -> None:
    act()
    raise ZeroDivisionError


def test_sign_up_is_the_trails_first_entry() -> None:
    made = services.tenant_sign_up(organisation="Acme", email=email_make(), password=PASSWORD)

    (entry,) = trail(made)
    assert (entry.action, entry.actor_id) == ("tenant.sign_up", made.user.pk)


def test_the_platform_is_made_by_the_system() -> None:
    platform = services.platform_tenant_ensure()
    with system_scope():
        entry = AuditEntry.objects.get(tenant=platform)
    assert (entry.action, entry.actor_kind) == ("tenant.create_platform", "system")


def test_entries_carry_the_trace_and_never_secrets() -> None:
    tenant = tenant_make()
    with structlog.contextvars.bound_contextvars(trace_id="req_7"):
        issued = key_make(tenant)
    entry = trail(tenant)[-1]

    assert (entry.trace_id, entry.target) == ("req_7", issued.row.id)
    assert issued.secret not in str(entry.data)
    assert PASSWORD not in "".join(str(e.data) for e in trail(tenant))


def test_a_trail_is_written_in_the_actors_own_tenant_only() -> None:
    tenant, other = tenant_make(), tenant_make("Other")
    with pytest.raises(ScopeError):
        audit_record(actor=owner_of(tenant), action="x.y", target="z")
    with tenant_scope(other.tenant.id), pytest.raises(ScopeError):
        audit_record(actor=owner_of(tenant), action="x.y", target="z")


def trail(tenant: SignedUp) -> list[AuditEntry]:
    with system_scope():
        return list(AuditEntry.objects.filter(tenant=tenant.tenant).order_by("id"))


def emitted(tenant: SignedUp) -> int:
    with system_scope():
        return OutboxEvent.objects.filter(tenant_id=tenant.tenant.id).count()
