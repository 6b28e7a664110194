"""Columns, in place of indexes on expressions, for the dimensions that events are filtered by.

Under row-level security no condition on `dimensions ->> …` becomes an index condition, since `->>`
is not leakproof; one on a column does.
"""

from __future__ import annotations

from django.db import migrations, models
from django.db.models.fields.json import KeyTextTransform

COLUMNS = "id, tenant_id, meter, quantity, event_time, ingested_at, source, key, dimensions"


def users() -> str:
    from tenants.kernel.rls import app_role, system_role

    return f"PUBLIC, {app_role()}, {system_role()}"


INDEXED = """
    DROP INDEX usage_event_model;
    DROP INDEX usage_event_api_key;
    ALTER TABLE usage_event
        ADD COLUMN model varchar(200) GENERATED ALWAYS AS (dimensions ->> 'model') STORED,
        ADD COLUMN api_key_id varchar(200) GENERATED ALWAYS AS (dimensions ->> 'api_key_id') STORED;
    CREATE INDEX usage_event_model ON usage_event (tenant_id, model, id);
    CREATE INDEX usage_event_api_key ON usage_event (tenant_id, api_key_id, id);
"""

# As in 0003, but that generated columns are named by nobody.
MAKE = f"""
    CREATE OR REPLACE FUNCTION usage_partition_make(month date) RETURNS text
    LANGUAGE plpgsql SET search_path = public AS $$
    DECLARE
        name text := 'usage_event_' || to_char(month, 'YYYY_MM');
        since timestamptz := month::timestamp AT TIME ZONE 'UTC';
        until timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
    BEGIN
        EXECUTE format(
            'CREATE TABLE %I (LIKE usage_event INCLUDING DEFAULTS INCLUDING GENERATED)', name);
        EXECUTE format('INSERT INTO %I ({COLUMNS}) SELECT {COLUMNS} FROM usage_event_default'
            ' WHERE event_time >= %L AND event_time < %L', name, since, until);
        ALTER TABLE usage_event_default DISABLE TRIGGER append_only;
        DELETE FROM usage_event_default WHERE event_time >= since AND event_time < until;
        ALTER TABLE usage_event_default ENABLE TRIGGER append_only;
        EXECUTE format('ALTER TABLE usage_event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, since, until);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I'
            ' USING (tenant_id = nullif(current_setting(''app.tenant'', true), ''''))', name);
        EXECUTE format('REVOKE ALL ON %I FROM {users()}', name);
        RETURN name;
    END $$;
"""


def dimension(name: str) -> models.GeneratedField:
    return models.GeneratedField(
        expression=KeyTextTransform(name, "dimensions"),
        output_field=models.CharField(max_length=200, null=True),
        db_persist=True,
    )


class Migration(migrations.Migration):
    dependencies = [("usage", "0003_partitions")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveIndex("usageevent", "usage_event_model"),
                migrations.RemoveIndex("usageevent", "usage_event_api_key"),
                migrations.AddField("usageevent", "model", dimension("model")),
                migrations.AddField("usageevent", "api_key_id", dimension("api_key_id")),
                migrations.AddIndex(
                    "usageevent",
                    models.Index(fields=["tenant", "model", "id"], name="usage_event_model"),
                ),
                migrations.AddIndex(
                    "usageevent",
                    models.Index(fields=["tenant", "api_key_id", "id"], name="usage_event_api_key"),
                ),
            ],
            database_operations=[migrations.RunSQL(INDEXED), migrations.RunSQL(MAKE)],
        ),
    ]
