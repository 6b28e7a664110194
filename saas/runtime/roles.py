"""The database and its three roles: owner migrates, app is under row-level security, system is not.

Running it again repairs: rights and passwords become what they should be, nothing is lost.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from saas.runtime.layout import Layout
from saas.runtime.secrets import env_read

_FROM_NOW_ON = "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public"


@dataclass(frozen=True)
class Role:
    """A login role; `attributes` are PostgreSQL's own words."""

    name: str
    password: str
    attributes: str

    @classmethod
    def from_url(cls, url: str, attributes: str) -> Role:
        parts = urlsplit(url)
        return cls(unquote(parts.username or ""), unquote(parts.password or ""), attributes)


@dataclass(frozen=True)
class Roles:
    """What the three addresses of the settings name."""

    database: str
    owner: Role
    app: Role
    system: Role

    @classmethod
    def from_urls(cls, *, app: str, owner: str, system: str) -> Roles:
        return cls(
            database=urlsplit(owner).path.lstrip("/"),
            owner=Role.from_url(owner, "NOSUPERUSER NOBYPASSRLS CREATEDB NOCREATEROLE"),
            app=Role.from_url(app, "NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"),
            system=Role.from_url(system, "NOSUPERUSER BYPASSRLS NOCREATEDB NOCREATEROLE"),
        )

    @property
    def users(self) -> Sequence[Role]:
        return (self.app, self.system)


def database_ensure(superuser_url: str, roles: Roles) -> None:
    """Make or repair the roles, the database and the rights, by a superuser's address.

    Raises psycopg.Error.
    """
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        for role in (roles.owner, *roles.users):
            _role_ensure(connection, role)
        _database_ensure(connection, roles)
    with psycopg.connect(superuser_url, dbname=roles.database) as connection:
        rights_ensure(connection, roles)


def rights_ensure(connection: psycopg.Connection, roles: Roles) -> None:
    """Let app and system use what the owner makes from now on; single tables are for migrations."""
    owner = sql.Identifier(roles.owner.name)
    users = sql.SQL(", ").join(sql.Identifier(role.name) for role in roles.users)
    statements = (
        "ALTER SCHEMA public OWNER TO {owner}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE ON SCHEMA public TO {users}",
        f"{_FROM_NOW_ON} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {{users}}",
        f"{_FROM_NOW_ON} GRANT USAGE, SELECT ON SEQUENCES TO {{users}}",
    )
    for statement in statements:
        connection.execute(sql.SQL(statement).format(owner=owner, users=users))


def _role_ensure(connection: psycopg.Connection, role: Role) -> None:
    name = sql.Identifier(role.name)
    known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role.name]).fetchone()
    if known is None:
        connection.execute(sql.SQL("CREATE ROLE {}").format(name))
    settings = sql.SQL("ALTER ROLE {} LOGIN " + role.attributes).format(name)
    connection.execute(settings)
    if role.password:
        password = sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(role.password))
        connection.execute(password)


def _database_ensure(connection: psycopg.Connection, roles: Roles) -> None:
    name = sql.Identifier(roles.database)
    query = "SELECT FROM pg_database WHERE datname = %s"
    if connection.execute(query, [roles.database]).fetchone() is None:
        owner = sql.Identifier(roles.owner.name)
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for role in roles.users:
        grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
        connection.execute(grant.format(name, sql.Identifier(role.name)))


def main() -> None:
    """Repair the database that the settings name, as the superuser in DATABASE_SUPERUSER_URL."""
    settings = {**env_read(Layout.current().env_file), **os.environ}
    roles = Roles.from_urls(
        app=settings["DATABASE_URL"],
        owner=settings["DATABASE_OWNER_URL"],
        system=settings["DATABASE_SYSTEM_URL"],
    )
    database_ensure(settings["DATABASE_SUPERUSER_URL"], roles)


if __name__ == "__main__":
    main()
