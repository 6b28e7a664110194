"""The database: three roles with just their rights, a sound server, migrations applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from saas.doctor.findings import Finding, failed, good, warning
from tenants.kernel.scope import APP, OWNER, SYSTEM

_RIGHTS = """
    SELECT current_user, rolsuper, rolbypassrls,
        EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                WHERE n.nspname = 'public' AND c.relowner = r.oid),
        EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                WHERE n.nspname = 'public' AND relkind = 'r' AND c.relowner <> r.oid
                AND pg_has_role(r.oid, c.relowner, 'MEMBER'))
    FROM pg_roles r WHERE rolname = current_user
"""
_REPAIR = "repair the roles: manage.py bootstrap (docs/decisions/0001)"


@dataclass(frozen=True)
class Rights:
    """`owns`: tables of ours; `inherits`: membership in the role that owns them."""

    role: str
    superuser: bool
    bypasses: bool
    owns: bool
    inherits: bool


def reachable_check() -> Iterator[Finding]:
    """Say which of the three connections cannot be opened; nothing where all can."""
    for alias, role in {APP: "app", SYSTEM: "system", OWNER: "owner"}.items():
        settings = connections[alias].settings_dict
        try:
            psycopg.connect(
                host=settings["HOST"],
                port=settings["PORT"],
                user=settings["USER"],
                password=settings["PASSWORD"],
                dbname=settings["NAME"],
                connect_timeout=3,
            ).close()
        except psycopg.OperationalError as error:
            yield failed(
                "database",
                f"the role {role} cannot connect: {str(error).splitlines()[0]}",
                "run: make up; or check DATABASE_URL, DATABASE_SYSTEM_URL, DATABASE_OWNER_URL",
            )


def roles_check() -> Iterator[Finding]:
    """Each connection has the rights that its part needs, and no more."""
    yield from _app(rights_of(APP))
    yield from _system(rights_of(SYSTEM))
    yield from _owner(rights_of(OWNER))


def rights_of(alias: str) -> Rights:
    """Return what the role behind a connection may do. Raises OperationalError."""
    with connections[alias].cursor() as cursor:
        cursor.execute(_RIGHTS)
        return Rights(*cursor.fetchone())


def _app(rights: Rights) -> Iterator[Finding]:
    wrong = [
        reason
        for reason, so in {
            "is a superuser": rights.superuser,
            "bypasses row-level security": rights.bypasses,
            "owns tables": rights.owns,
            "is a member of the tables' owner": rights.inherits,
        }.items()
        if so
    ]
    if wrong:
        yield failed(
            "role app", f"{rights.role} {', '.join(wrong)}: tenants are not apart", _REPAIR
        )
    else:
        yield good("role app", f"{rights.role} is bound by row-level security")


def _system(rights: Rights) -> Iterator[Finding]:
    if not rights.bypasses:
        yield failed("role system", f"{rights.role} cannot see across tenants", _REPAIR)
    elif rights.superuser or rights.owns:
        yield warning("role system", f"{rights.role} may do more than it needs", _REPAIR)
    else:
        yield good("role system", f"{rights.role} sees across tenants, and owns nothing")


def _owner(rights: Rights) -> Iterator[Finding]:
    if rights.superuser or rights.bypasses:
        yield warning("role owner", f"{rights.role} may do more than migrate", _REPAIR)
    else:
        yield good("role owner", f"{rights.role} migrates, under the policies like everyone")


def server_check() -> Iterator[Finding]:
    """PostgreSQL 15 or later that keeps what it has confirmed."""
    with connections[SYSTEM].cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version'),"
            " current_setting('fsync'), current_setting('full_page_writes')"
        )
        number, version, fsync, full_page = cursor.fetchone()
    if number < 150000:
        yield failed("database", f"PostgreSQL {version}", "use PostgreSQL 15 or later")
    elif "off" in {fsync, full_page}:
        yield failed(
            "database",
            f"PostgreSQL {version} with fsync={fsync}, full_page_writes={full_page}",
            "a power cut would lose confirmed usage and jobs: set both on",
        )
    else:
        yield good("database", f"PostgreSQL {version}, fsync on")


def migrations_check() -> Iterator[Finding]:
    executor = MigrationExecutor(connections[OWNER])
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        names = ", ".join(str(migration) for migration, _ in missing[:3])
        yield failed(
            "migrations",
            f"{len(missing)} not applied: {names}",
            "run: manage.py migrate --database owner",
        )
    else:
        yield good("migrations", "all applied")
