"""The three roles on a real server: what each may, and that a second run repairs."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from saas.runtime.roles import Roles, database_ensure
from tests.stores import Stores

NAME = "roles_under_test"


@pytest.fixture
def roles(stores: Stores) -> Iterator[Roles]:
    """Roles and a database of their own on the test server."""

    def url(role: str) -> str:
        password = quote(f"pass word:/@{role}", safe="")
        return f"postgresql://{NAME}_{role}:{password}@127.0.0.1:{stores.postgres.port}/{NAME}"

    roles = Roles.from_urls(app=url("app"), owner=url("owner"), system=url("system"))
    database_ensure(stores.postgres.url(), roles)
    yield roles
    stores.superuser.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
    for role in (roles.owner, *roles.users):
        stores.superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role.name)))


def connect(stores: Stores, roles: Roles, who: str) -> psycopg.Connection:
    role = {"owner": roles.owner, "app": roles.app, "system": roles.system}[who]
    return psycopg.connect(
        host="127.0.0.1",
        port=stores.postgres.port,
        dbname=roles.database,
        user=role.name,
        password=role.password,
        autocommit=True,
    )


def protected_table(stores: Stores, roles: Roles) -> None:
    with connect(stores, roles, "owner") as owner:
        owner.execute(
            "CREATE TABLE note (id bigserial PRIMARY KEY, tenant text, body text);"
            "ALTER TABLE note ENABLE ROW LEVEL SECURITY; ALTER TABLE note FORCE ROW LEVEL SECURITY;"
            "CREATE POLICY mine ON note USING (tenant = current_setting('app.tenant', true))"
        )


def test_only_the_system_role_bypasses_row_level_security(stores: Stores, roles: Roles) -> None:
    rows = stores.superuser.execute(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles"
        " WHERE rolname LIKE %s",
        [f"{NAME}%"],
    ).fetchall()
    assert sorted(rows) == [
        (roles.app.name, False, False, False, False),
        (roles.owner.name, False, False, True, False),
        (roles.system.name, False, True, False, False),
    ]


def test_app_sees_its_tenants_rows_and_system_sees_all(stores: Stores, roles: Roles) -> None:
    # given a table that the owner made after the roles
    protected_table(stores, roles)
    with connect(stores, roles, "system") as system, connect(stores, roles, "app") as app:
        system.execute("INSERT INTO note (tenant, body) VALUES ('a', 'x'), ('b', 'y')")

        app.execute("SET app.tenant = 'a'")
        assert app.execute("SELECT body FROM note").fetchall() == [("x",)]
        app.execute("UPDATE note SET body = 'z'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("INSERT INTO note (tenant, body) VALUES ('b', 'not mine')")

        assert system.execute("SELECT tenant, body FROM note ORDER BY tenant").fetchall() == [
            ("a", "z"),
            ("b", "y"),
        ]


@pytest.mark.parametrize("who", ["app", "system"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (n int)",
        "ALTER TABLE note DISABLE ROW LEVEL SECURITY",
        "DROP POLICY mine ON note",
        "TRUNCATE note",
        "DROP TABLE note",
        "CREATE ROLE another",
        "CREATE DATABASE another",
    ],
)
def test_neither_changes_the_schema(stores: Stores, roles: Roles, who: str, statement: str) -> None:
    protected_table(stores, roles)
    with connect(stores, roles, who) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_strangers_do_not_get_in(stores: Stores, roles: Roles) -> None:
    stores.superuser.execute("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(
                host="127.0.0.1",
                port=stores.postgres.port,
                dbname=roles.database,
                user="stranger",
                password="stranger",
            )
    finally:
        stores.superuser.execute("DROP ROLE stranger")


def test_a_second_run_repairs_rights_and_passwords_and_keeps_rows(
    stores: Stores, roles: Roles
) -> None:
    # given rows, a password that was changed, and an app role that was made too strong
    protected_table(stores, roles)
    with connect(stores, roles, "system") as system:
        system.execute("INSERT INTO note (tenant, body) VALUES ('a', 'x')")
    app = sql.Identifier(roles.app.name)
    stores.superuser.execute(
        sql.SQL("ALTER ROLE {} SUPERUSER BYPASSRLS PASSWORD 'another'").format(app)
    )

    database_ensure(stores.postgres.url(), roles)

    with connect(stores, roles, "app") as connection:
        assert connection.execute("SELECT count(*) FROM note").fetchone() == (0,)
        connection.execute("SET app.tenant = 'a'")
        assert connection.execute("SELECT count(*) FROM note").fetchone() == (1,)


def test_what_a_migration_took_from_the_app_role_stays_taken(stores: Stores, roles: Roles) -> None:
    protected_table(stores, roles)
    with connect(stores, roles, "owner") as owner:
        owner.execute(sql.SQL("REVOKE ALL ON note FROM {}").format(sql.Identifier(roles.app.name)))

    database_ensure(stores.postgres.url(), roles)

    with connect(stores, roles, "app") as app:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("SELECT * FROM note")
