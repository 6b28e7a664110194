"""The test database: migrated once by the owner, copied for each run, emptied after each test.

Every test commits for real and works on the three connections that production has, as the three
roles that production has; rolling back could not show one role what another has written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import psycopg
from psycopg import sql

from saas.runtime.layout import ROOT
from saas.runtime.roles import database_ensure
from tests.stores import Stores

# rows that migrations write and no test changes
_LEFT_ALONE = ("django_migrations", "django_content_type", "auth_permission")

# Deleting beats truncating: forty TRUNCATEs make forty new files. The session runs as a replica, so
# that neither foreign keys nor append-only triggers object, and as a superuser, past every policy.
_CLEANER = """
CREATE SCHEMA seed;
CREATE FUNCTION seed.keep() RETURNS void LANGUAGE plpgsql AS $$
DECLARE name text; filled boolean;
BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'p') AND relname <> ALL (%(left_alone)s) LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%%I)', name) INTO filled;
        IF filled THEN
            EXECUTE format('CREATE TABLE seed.%%I AS TABLE public.%%I', name, name);
        END IF;
    END LOOP;
END $$;
CREATE FUNCTION seed.clean() RETURNS void LANGUAGE plpgsql AS $$
DECLARE name text;
BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
            AND relkind = 'r' AND relname <> ALL (%(left_alone)s) LOOP
        EXECUTE format('DELETE FROM public.%%I', name);
    END LOOP;
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'seed'::regnamespace
            AND relkind = 'r' LOOP
        EXECUTE format('INSERT INTO public.%%I OVERRIDING SYSTEM VALUE TABLE seed.%%I', name, name);
    END LOOP;
END $$;
SELECT seed.keep();
"""


def database_copy(stores: Stores, migrate: Callable[[], None]) -> None:
    """Lay a fresh copy of the migrated database where the settings look for it."""
    template = f"template_{_migrations_digest()}"
    name = stores.roles.database
    _drop(stores.superuser, name)
    if not _exists(stores.superuser, template):
        for stale in _templates(stores.superuser):
            _drop(stores.superuser, stale)
        _build(stores, migrate)
        _rename(stores.superuser, name, template)
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
    owner = stores.roles.owner.name
    stores.superuser.execute(copy.format(*map(sql.Identifier, (name, template, owner))))
    database_ensure(stores.postgres.url(), stores.roles)


def cleaner_connect(stores: Stores) -> psycopg.Connection:
    """Return the connection that `database_clean` uses."""
    connection = psycopg.connect(stores.postgres.url(stores.roles.database), autocommit=True)
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET lock_timeout = '10s'")
    return connection


def database_clean(cleaner: psycopg.Connection) -> None:
    """Delete what a test has committed, and bring back what the migrations wrote.

    Raises psycopg.errors.LockNotAvailable where the test left a transaction open.
    """
    cleaner.execute("SELECT seed.clean()")


def _build(stores: Stores, migrate: Callable[[], None]) -> None:
    database_ensure(stores.postgres.url(), stores.roles)
    migrate()
    url = stores.postgres.url(stores.roles.database)
    with psycopg.connect(url) as connection:
        left_alone = sql.Literal(list(_LEFT_ALONE)).as_string(connection)
        connection.execute(_CLEANER % {"left_alone": left_alone})


def _migrations_digest() -> str:
    """Changes with anything that could change the migrated database."""
    digest = hashlib.sha256()
    sources = [
        *(
            p
            for top in ("tenants", "workers", "saas")
            for pattern in ("migrations/*.py", "sql/*.sql")
            for p in ROOT.glob(f"{top}/**/{pattern}")
        ),
        *(
            ROOT / p
            for p in (
                "tenants/kernel/rls.py",
                "tenants/ledger/functions.py",
                "saas/runtime/roles.py",
                "tests/database.py",
            )
        ),
        ROOT / "saas" / "settings" / "apps.py",
    ]
    for path in sorted(sources):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _exists(connection: psycopg.Connection, name: str) -> bool:
    query = "SELECT FROM pg_database WHERE datname = %s"
    return connection.execute(query, [name]).fetchone() is not None


def _templates(connection: psycopg.Connection) -> list[str]:
    query = "SELECT datname FROM pg_database WHERE datname LIKE 'template\\_%'"
    return [str(row[0]) for row in connection.execute(query)]


def _drop(connection: psycopg.Connection, name: str) -> None:
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
    connection.execute(drop.format(sql.Identifier(name)))


def _rename(connection: psycopg.Connection, old: str, new: str) -> None:
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    connection.execute(rename.format(sql.Identifier(old), sql.Identifier(new)))
