"""The doctor sees wrong roles, missing migrations and open tables, and says which."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from saas.doctor.database import migrations_check, roles_check, server_check
from saas.doctor.findings import Health
from saas.doctor.isolation import isolation_check
from tenants.accounts.services import platform_tenant_ensure
from tests.saas.doctor.factories import healths, the_only

pytestmark = pytest.mark.django_db


def as_owner(*statements: str) -> None:
    with connections["owner"].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def undone(*statements: str) -> Iterator[None]:
    """Run what must be put right again, whatever the test finds."""
    try:
        yield
    finally:
        as_owner(*statements)


def test_the_roles_of_this_project_are_sound() -> None:
    assert healths(roles_check()) == {"database roles": Health.GOOD}


def test_a_server_that_may_lose_what_it_confirmed_fails() -> None:
    """The tests' own server runs with fsync off, which no other may."""
    finding = the_only(server_check())
    assert finding.health is Health.FAILED
    assert "fsync=off" in finding.message


def test_a_migration_that_was_not_applied_is_named() -> None:
    assert the_only(migrations_check()).health is Health.GOOD
    ((_, newest),) = MigrationLoader(None).graph.leaf_nodes("costs")
    forget = f"DELETE FROM django_migrations WHERE app = 'costs' AND name = '{newest}'"
    again = (
        f"INSERT INTO django_migrations (app, name, applied) VALUES ('costs', '{newest}', now())"
    )
    with undone(again):
        as_owner(forget)
        finding = the_only(migrations_check())
    assert finding.health is Health.FAILED
    assert f"costs.{newest}" in finding.message


def test_a_table_whose_policy_is_not_forced_is_named() -> None:
    with undone("ALTER TABLE snapshot FORCE ROW LEVEL SECURITY"):
        as_owner("ALTER TABLE snapshot NO FORCE ROW LEVEL SECURITY")
        forced = next(iter(isolation_check()))
        roles = the_only(roles_check())
    assert roles.health is Health.FAILED
    assert roles.todo
    assert forced.health is Health.FAILED
    assert "snapshot" in forced.message


def test_rows_that_show_without_a_tenant_are_seen_by_trying() -> None:
    platform_tenant_ensure()
    *_, tried = isolation_check()
    assert tried.health is Health.GOOD
    with undone("ALTER TABLE tenant ENABLE ROW LEVEL SECURITY"):
        as_owner("ALTER TABLE tenant DISABLE ROW LEVEL SECURITY")
        *_, tried = isolation_check()
    assert tried.health is Health.FAILED
    assert "1 of 1" in tried.message
