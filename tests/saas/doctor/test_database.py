"""The doctor sees wrong roles, missing migrations and open tables, and says which."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connections

from saas.doctor.database import Rights, migrations_check, rights_of, roles_check, server_check
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


def test_the_three_roles_of_this_project_are_sound() -> None:
    assert set(healths(roles_check()).values()) == {Health.GOOD}


@pytest.mark.parametrize(
    ("alias", "expected"),
    [
        ("default", Rights("breakwater_app", False, False, False, False)),
        ("system", Rights("breakwater_system", False, True, False, False)),
        ("owner", Rights("breakwater_owner", False, False, True, False)),
    ],
)
def test_rights_are_read_from_the_database(alias: str, expected: Rights) -> None:
    assert rights_of(alias) == expected


@pytest.mark.parametrize(
    ("rights", "said"),
    [
        (Rights("r", True, False, False, False), "superuser"),
        (Rights("r", False, True, False, False), "bypasses"),
        (Rights("r", False, False, True, False), "owns"),
        (Rights("r", False, False, False, True), "member"),
    ],
)
def test_an_app_role_with_too_many_rights_fails(
    rights: Rights, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"default": rights, "system": rights_of("system"), "owner": rights_of("owner")}
    monkeypatch.setattr("saas.doctor.database.rights_of", found.__getitem__)
    app = next(iter(roles_check()))
    assert app.health is Health.FAILED
    assert said in app.message
    assert app.todo


def test_a_server_that_may_lose_what_it_confirmed_fails() -> None:
    """The tests' own server runs with fsync off, which no other may."""
    finding = the_only(server_check())
    assert finding.health is Health.FAILED
    assert "fsync=off" in finding.message


def test_a_migration_that_was_not_applied_is_named() -> None:
    assert the_only(migrations_check()).health is Health.GOOD
    forget = "DELETE FROM django_migrations WHERE app = 'costs' AND name = '0003_rated_entries'"
    again = (
        "INSERT INTO django_migrations (app, name, applied)"
        " VALUES ('costs', '0003_rated_entries', now())"
    )
    with undone(again):
        as_owner(forget)
        finding = the_only(migrations_check())
    assert finding.health is Health.FAILED
    assert "costs.0003_rated_entries" in finding.message


def test_a_table_whose_policy_is_not_forced_is_named() -> None:
    with undone("ALTER TABLE snapshot FORCE ROW LEVEL SECURITY"):
        as_owner("ALTER TABLE snapshot NO FORCE ROW LEVEL SECURITY")
        forced = next(iter(isolation_check()))
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
