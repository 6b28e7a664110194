"""The database: three roles with just their rights, a sound server, migrations applied."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from saas.doctor.findings import Finding, failed, good
from tenants.kernel.roles_check import role_problems
from tenants.kernel.scope import APP, OWNER, SYSTEM


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
    problems = role_problems()
    for problem in problems:
        what, _, remedy = problem.partition("; ")
        yield failed("database roles", what, f"{remedy} (or repair all: manage.py bootstrap)")
    if not problems:
        app, system = (connections[alias].settings_dict["USER"] for alias in (APP, SYSTEM))
        yield good(
            "database roles", f"{app} is bound by row-level security, {system} sees across tenants"
        )


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
