"""Suspending, reactivating and closing: who may, what is told, and what cannot be undone."""

from __future__ import annotations

import pytest

from tenants.accounts.actors import Actor, ActorKind, system_actor
from tenants.accounts.models import AuditEntry, Tenant
from tenants.accounts.services import platform_tenant_ensure
from tenants.accounts.standing import tenant_close, tenant_reactivate, tenant_suspend
from tenants.kernel.errors import Conflict, NotFound, PermissionDenied
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope
from tests.tenants.accounts.factories import owner_of, tenant_make

pytestmark = pytest.mark.django_db


def told(tenant_id: str) -> list[tuple[str, str]]:
    rows = OutboxEvent.objects.filter(tenant_id=tenant_id, name__startswith="tenant.")
    rows = rows.exclude(name="tenant.signed_up").order_by("id")
    return [(row.name, row.payload["reason"]) for row in rows]


def test_a_tenant_is_suspended_once_and_comes_back() -> None:
    actor = system_actor(tenant_make().tenant.id)
    with system_scope():
        assert tenant_suspend(actor=actor, reason="unpaid").status == Tenant.Status.SUSPENDED
        assert tenant_suspend(actor=actor, reason="again").status == Tenant.Status.SUSPENDED
        assert tenant_reactivate(actor=actor, reason="paid").status == Tenant.Status.ACTIVE
        assert told(actor.tenant_id) == [
            ("tenant.suspended", "unpaid"),
            ("tenant.reactivated", "paid"),
        ]
        entries = AuditEntry.objects.filter(tenant_id=actor.tenant_id).order_by("created_at")
        assert [e.action for e in entries] == [
            "tenant.sign_up",
            "tenant.suspend",
            "tenant.reactivate",
        ]


def test_closing_is_for_good() -> None:
    actor = Actor(kind=ActorKind.OPERATOR, id="user_1", tenant_id=tenant_make().tenant.id)
    with system_scope():
        assert tenant_close(actor=actor, reason="asked for").status == Tenant.Status.CLOSED
        assert tenant_close(actor=actor, reason="again").status == Tenant.Status.CLOSED
        for move in (tenant_suspend, tenant_reactivate):
            with pytest.raises(Conflict):
                move(actor=actor, reason="no")
        assert told(actor.tenant_id) == [("tenant.closed", "asked for")]


def test_no_member_changes_their_own_standing() -> None:
    tenant = tenant_make()
    with system_scope(), pytest.raises(PermissionDenied):
        tenant_reactivate(actor=owner_of(tenant), reason="please")


def test_the_platform_and_the_unknown_are_refused() -> None:
    platform = platform_tenant_ensure()
    with system_scope():
        with pytest.raises(Conflict):
            tenant_close(actor=system_actor(platform.id), reason="no")
        with pytest.raises(NotFound):
            tenant_close(actor=system_actor("ten_none"), reason="no")
