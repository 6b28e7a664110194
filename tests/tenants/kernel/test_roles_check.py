"""The start-up check: roles and policies that would not keep tenants apart are named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections
from psycopg import sql

from tenants.kernel.roles_check import UnsafeRoles, require_safe_roles, role_problems
from tenants.kernel.scope import APP, OWNER, SYSTEM
from tests.stores import Stores

pytestmark = pytest.mark.django_db


def role(alias: str) -> str:
    return str(connections[alias].settings_dict["USER"])


@contextmanager
def altered(stores: Stores, do: str, undo: str) -> Iterator[None]:
    """A change to the roles by the superuser, taken back whatever happens."""
    names = {alias: sql.Identifier(role(alias)) for alias in (APP, SYSTEM, OWNER)}
    with psycopg.connect(stores.postgres.url(stores.roles.database), autocommit=True) as admin:
        admin.execute(sql.SQL(do).format(**names))
        try:
            yield
        finally:
            admin.execute(sql.SQL(undo).format(**names))


def test_the_roles_that_we_make_are_safe() -> None:
    assert role_problems() == []
    require_safe_roles()
    call_command("check", databases=["default"])


@pytest.mark.parametrize(
    ("do", "undo", "expected"),
    [
        ("ALTER ROLE {default} SUPERUSER", "ALTER ROLE {default} NOSUPERUSER", "is a superuser"),
        ("ALTER ROLE {default} BYPASSRLS", "ALTER ROLE {default} NOBYPASSRLS", "bypasses"),
        ("GRANT {owner} TO {default}", "REVOKE {owner} FROM {default}", "may become"),
        ("GRANT {system} TO {default}", "REVOKE {system} FROM {default}", "may become"),
        (
            "CREATE TABLE mine (); ALTER TABLE mine OWNER TO {default}",
            "DROP TABLE mine",
            "owns mine",
        ),
        ("ALTER ROLE {system} NOBYPASSRLS", "ALTER ROLE {system} BYPASSRLS", "cannot see all"),
        ("ALTER ROLE {system} SUPERUSER", "ALTER ROLE {system} NOSUPERUSER", "is a superuser"),
        (
            "ALTER TABLE member NO FORCE ROW LEVEL SECURITY",
            "ALTER TABLE member FORCE ROW LEVEL SECURITY",
            "'member' has a tenant_id and no row-level security",
        ),
        (
            "ALTER TABLE api_key DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE api_key ENABLE ROW LEVEL SECURITY",
            "'api_key' has a tenant_id and no row-level security",
        ),
    ],
)
def test_each_danger_is_named_and_stops_the_start(
    do: str, undo: str, expected: str, stores: Stores
) -> None:
    with altered(stores, do, undo):
        with pytest.raises(UnsafeRoles, match=expected):
            require_safe_roles()
        with pytest.raises(SystemCheckError, match=expected):
            call_command("check", databases=["default"])
    assert role_problems() == []


def test_a_new_table_without_a_policy_is_found(stores: Stores) -> None:
    with altered(
        stores,
        "CREATE TABLE forgotten (tenant_id text); GRANT SELECT ON forgotten TO {default}",
        "DROP TABLE forgotten",
    ):
        (problem,) = role_problems()
    assert "'forgotten'" in problem
    assert "rls.protect" in problem
