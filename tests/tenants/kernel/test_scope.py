"""Scopes: one transaction, one role, closed when nobody opened them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NoReturn

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction

from tenants.accounts.models import Member, Tenant
from tenants.kernel.scope import (
    APP,
    SYSTEM,
    ScopeError,
    atomic,
    current_alias,
    current_scope,
    current_tenant_id,
    on_commit,
    required_scope,
    system_scope,
    tenant_scope,
)
from tests.tenants.accounts.factories import tenant_make

pytestmark = pytest.mark.django_db


def database_tenant(alias: str = APP) -> str | None:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_setting('app.tenant', true)")
        value: str | None = cursor.fetchone()[0]
    return value


def database_role(alias: str) -> str:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_user")
        return str(cursor.fetchone()[0])


def fail_after(act: Callable[..., object], *args: object, **kwargs: object) -> NoReturn:
    act(*args, **kwargs)
    raise ZeroDivisionError


def test_without_a_scope_there_is_none() -> None:
    assert current_scope() is None
    assert current_alias() == APP
    for ask in (required_scope, current_tenant_id, atomic):
        with pytest.raises(ScopeError):
            ask()
    with pytest.raises(ScopeError):
        on_commit(lambda: None)


def test_a_tenant_scope_is_a_transaction_of_the_app_role_under_its_tenant() -> None:
    with tenant_scope("ten_a"):
        assert current_tenant_id() == "ten_a"
        assert database_tenant() == "ten_a"
        assert connections[APP].in_atomic_block
    assert current_scope() is None
    assert not database_tenant()
    assert database_role(APP) != database_role(SYSTEM)


def test_a_system_scope_names_no_tenant() -> None:
    with system_scope():
        assert current_alias() == SYSTEM
        with pytest.raises(ScopeError, match="one tenant's scope"):
            current_tenant_id()


def test_the_same_scope_inside_itself_changes_nothing() -> None:
    with tenant_scope("ten_a"):
        with tenant_scope("ten_a"):
            pass
        assert database_tenant() == "ten_a"
    with system_scope(), system_scope():
        assert current_alias() == SYSTEM


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (lambda: tenant_scope("ten_a"), lambda: tenant_scope("ten_b")),
        (lambda: tenant_scope("ten_a"), system_scope),
        (system_scope, lambda: tenant_scope("ten_a")),
    ],
)
def test_one_scope_does_not_open_inside_another(outer, inner) -> None:  # type: ignore[no-untyped-def]
    with outer():
        before = current_scope()
        with pytest.raises(ScopeError, match="leave that scope"), inner():
            pass
        assert current_scope() == before


def test_a_scope_needs_a_tenant() -> None:
    with pytest.raises(ScopeError), tenant_scope(""):
        pass


def test_a_tenants_id_is_data_and_never_sql() -> None:
    with tenant_scope("'; DROP TABLE tenant; --"):
        assert Tenant.objects.count() == 0


def test_an_exception_rolls_everything_back_and_closes_the_scope() -> None:
    tenant = tenant_make().tenant
    with pytest.raises(ZeroDivisionError), tenant_scope(tenant.id):
        fail_after(Tenant.objects.filter(pk=tenant.id).update, name="Changed")
    assert current_scope() is None
    assert not database_tenant()
    with tenant_scope(tenant.id):
        assert Tenant.objects.get().name == tenant.name


def test_a_savepoint_undoes_its_part_only() -> None:
    tenant = tenant_make().tenant
    with tenant_scope(tenant.id):
        Tenant.objects.update(weight=5)
        with pytest.raises(ZeroDivisionError), atomic():
            fail_after(Tenant.objects.update, weight=7)
        assert database_tenant() == tenant.id
    with tenant_scope(tenant.id):
        assert Tenant.objects.get().weight == 5


def test_what_waits_for_the_commit_runs_after_it_and_outside_the_scope() -> None:
    seen: list[object] = []
    with tenant_scope("ten_a"):
        on_commit(lambda: seen.append(current_scope()))
        assert seen == []
    assert seen == [None]

    with pytest.raises(ZeroDivisionError), tenant_scope("ten_a"):
        fail_after(on_commit, lambda: seen.append("never"))
    assert seen == [None]


def test_an_outer_transaction_is_left_without_a_tenant() -> None:
    """As a savepoint of someone's transaction, a scope takes its tenant along when it ends."""
    with transaction.atomic(using=APP):
        with tenant_scope("ten_a"):
            assert database_tenant() == "ten_a"
        assert not database_tenant()
        with pytest.raises(ZeroDivisionError), tenant_scope("ten_b"):
            raise ZeroDivisionError
        assert not database_tenant()


def test_a_connection_back_from_the_pool_remembers_no_tenant() -> None:
    tenant = tenant_make().tenant
    with tenant_scope(tenant.id):
        assert Member.objects.count() == 1
    connections[APP].close()
    with connections[APP].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM member")
        assert cursor.fetchone()[0] == 0


def test_another_thread_has_no_scope() -> None:
    seen: list[object] = []
    with tenant_scope("ten_a"):
        thread = threading.Thread(target=lambda: seen.append(current_scope()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_a_coroutine_acts_in_its_callers_scope() -> None:
    tenant = tenant_make().tenant

    async def members() -> int:
        return await Member.objects.acount()

    with tenant_scope(tenant.id):
        assert async_to_sync(members)() == 1
    with pytest.raises(ScopeError):
        async_to_sync(members)()
