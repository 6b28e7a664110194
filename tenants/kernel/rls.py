"""Lock two: row-level security, as operations for migrations.

https://www.postgresql.org/docs/current/ddl-rowsecurity.html. The policy reads
`nullif(current_setting('app.tenant', true), '')`, for after a transaction the setting is empty,
not null.
"""

from __future__ import annotations

from django.db.migrations.operations import RunSQL

CURRENT_TENANT = "nullif(current_setting('app.tenant', true), '')"


def protect(table: str, *, column: str = "tenant_id") -> RunSQL:
    """Let a session see and write only the rows whose `column` is its tenant.

    A role that bypasses policies is not bound by it.
    """
    return RunSQL(
        sql=f"""
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
            ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
            CREATE POLICY tenant_isolation ON {table}
                USING ({column} = {CURRENT_TENANT}) WITH CHECK ({column} = {CURRENT_TENANT});
        """,
        reverse_sql=f"""
            DROP POLICY tenant_isolation ON {table};
            ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
            ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
        """,
    )


def shared(table: str, *, column: str = "tenant_id") -> RunSQL:
    """Rows without a tenant are everyone's to read; the others, their tenant's only.

    For tables that only the system writes (`read_only`).
    """
    return RunSQL(
        sql=f"""
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
            ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
            CREATE POLICY tenant_or_shared ON {table} FOR SELECT
                USING ({column} IS NULL OR {column} = {CURRENT_TENANT});
        """,
        reverse_sql=f"""
            DROP POLICY tenant_or_shared ON {table};
            ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
            ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
        """,
    )


def read_only(table: str) -> RunSQL:
    """A shared table that tenants read and only the system writes."""
    return RunSQL(
        sql=f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {table} FROM PUBLIC, {app_role()};",
        reverse_sql=f"GRANT INSERT, UPDATE, DELETE ON {table} TO {app_role()};",
    )


def hidden(table: str) -> RunSQL:
    """A table of the platform's own that the app role cannot touch at all."""
    return RunSQL(
        sql=f"REVOKE ALL ON {table} FROM PUBLIC, {app_role()};",
        reverse_sql=f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {app_role()};",
    )


def app_role() -> str:
    """Name of the role behind the `default` connection."""
    from django.conf import settings

    return str(settings.DATABASES["default"]["USER"])


def system_role() -> str:
    """Name of the role behind the `system` connection."""
    from django.conf import settings

    return str(settings.DATABASES["system"]["USER"])


def append_only(table: str) -> RunSQL:
    """Rows that nobody, of whatever role, updates or deletes."""
    return RunSQL(
        sql=f"""
            CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION '{table} is append-only' USING ERRCODE = 'restrict_violation';
            END $$;
            CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION {table}_is_append_only();
        """,
        reverse_sql=f"DROP TRIGGER append_only ON {table}; DROP FUNCTION {table}_is_append_only();",
    )
