"""Events by month, and their sums by hour.

`usage_event` becomes a table partitioned by month of `event_time`; what lies outside the months
that have been made goes into the DEFAULT partition. `usage_hour` is kept by a trigger, in the
statement that inserts events. Rows that are there are carried over, and counted into the sums.

No foreign key per event: `usage_hour` has one, and no event is without its hour.
"""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.fields.json import KeyTextTransform

from tenants.kernel.rls import app_role, protect, system_role

USERS = f"PUBLIC, {app_role()}, {system_role()}"

PARTITIONED = f"""
    DROP INDEX usage_event_read;
    ALTER TABLE usage_event DROP CONSTRAINT usage_event_pkey;
    ALTER TABLE usage_event NO FORCE ROW LEVEL SECURITY;
    ALTER TABLE usage_event RENAME TO usage_event_unpartitioned;
    CREATE TABLE usage_event (
        id varchar(40) NOT NULL,
        tenant_id varchar(40) NOT NULL,
        meter varchar(60) NOT NULL,
        quantity numeric(30, 12) NOT NULL,
        event_time timestamptz NOT NULL,
        ingested_at timestamptz NOT NULL DEFAULT statement_timestamp(),
        source varchar(220) NOT NULL,
        key varchar(200) NOT NULL,
        dimensions jsonb NOT NULL,
        PRIMARY KEY (tenant_id, id, event_time)
    ) PARTITION BY RANGE (event_time);
    CREATE INDEX usage_event_time ON usage_event (tenant_id, event_time);
    CREATE INDEX usage_event_meter ON usage_event (tenant_id, meter, id);
    CREATE INDEX usage_event_model ON usage_event (tenant_id, (dimensions ->> 'model'), id);
    CREATE INDEX usage_event_api_key ON usage_event (tenant_id, (dimensions ->> 'api_key_id'), id);
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON usage_event
        FOR EACH ROW EXECUTE FUNCTION usage_event_is_append_only();

    CREATE TABLE usage_event_default PARTITION OF usage_event DEFAULT;
    REVOKE ALL ON usage_event_default FROM {USERS};
"""

# A partition is reached through its parent only: nobody else has any right on it, so that no
# insert passes the parent's trigger by. Its policy guards it all the same.
ENSURE = f"""
    CREATE FUNCTION usage_partition_make(month date) RETURNS text
    LANGUAGE plpgsql SET search_path = public AS $$
    DECLARE
        name text := 'usage_event_' || to_char(month, 'YYYY_MM');
        since timestamptz := month::timestamp AT TIME ZONE 'UTC';
        until timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
    BEGIN
        EXECUTE format('CREATE TABLE %I (LIKE usage_event INCLUDING DEFAULTS)', name);
        EXECUTE format('INSERT INTO %I SELECT * FROM usage_event_default'
            ' WHERE event_time >= %L AND event_time < %L', name, since, until);
        ALTER TABLE usage_event_default DISABLE TRIGGER append_only;
        DELETE FROM usage_event_default WHERE event_time >= since AND event_time < until;
        ALTER TABLE usage_event_default ENABLE TRIGGER append_only;
        EXECUTE format('ALTER TABLE usage_event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            name, since, until);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I'
            ' USING (tenant_id = nullif(current_setting(''app.tenant'', true), ''''))', name);
        EXECUTE format('REVOKE ALL ON %I FROM {USERS}', name);
        RETURN name;
    END $$;

    CREATE FUNCTION usage_partitions_missing(ahead integer) RETURNS SETOF date
    LANGUAGE sql STABLE SET search_path = public AS $$
        SELECT month FROM (
            SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + n * interval '1 month')::date
            FROM generate_series(0, ahead) AS n
            UNION
            SELECT date_trunc('month', event_time AT TIME ZONE 'UTC')::date
            FROM usage_event_default
            WHERE event_time >= now() - interval '2 years'
                AND event_time < now() + (ahead + 1) * interval '1 month'
        ) AS wanted(month)
        WHERE to_regclass('usage_event_' || to_char(month, 'YYYY_MM')) IS NULL
        ORDER BY month
    $$;

    CREATE FUNCTION usage_partitions_ensure(ahead integer) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public SET lock_timeout = '5s' AS $$
    BEGIN
        IF NOT EXISTS (SELECT FROM usage_partitions_missing(ahead)) THEN
            RETURN ARRAY[]::text[];
        END IF;
        LOCK TABLE usage_event IN ACCESS EXCLUSIVE MODE;  -- else a query under way misses the moved
        RETURN (SELECT coalesce(array_agg(usage_partition_make(month)), ARRAY[]::text[])
                FROM (SELECT * FROM usage_partitions_missing(ahead)) AS missing(month));
    END $$;

    REVOKE ALL ON FUNCTION usage_partition_make(date), usage_partitions_missing(integer),
        usage_partitions_ensure(integer) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION usage_partitions_ensure(integer) TO {system_role()};
"""

# Sorted, so that two writers take the hours' row locks in one order.
SUMS = f"""
    CREATE FUNCTION usage_hour_add() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
    BEGIN
        INSERT INTO usage_hour
            (tenant_id, hour, digest, meter, source, dimensions, quantity, events)
        SELECT tenant_id, hour,
            sha256(convert_to(jsonb_build_array(meter, source, kept)::text, 'UTF8')) AS digest,
            meter, source, kept, sum(quantity), count(*)
        FROM (
            SELECT tenant_id, date_trunc('hour', event_time, 'UTC') AS hour, meter, source,
                dimensions - ARRAY['request_id', 'job_id'] AS kept, quantity
            FROM added
        ) AS counted
        GROUP BY tenant_id, hour, meter, source, kept
        ORDER BY tenant_id, hour, digest
        ON CONFLICT (tenant_id, hour, digest) DO UPDATE
        SET quantity = usage_hour.quantity + excluded.quantity,
            events = usage_hour.events + excluded.events;
        RETURN NULL;
    END $$;
    CREATE TRIGGER usage_hour_add AFTER INSERT ON usage_event
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION usage_hour_add();

    CREATE POLICY kept_by_trigger ON usage_hour TO CURRENT_USER USING (true) WITH CHECK (true);
    REVOKE INSERT, UPDATE, DELETE ON usage_hour FROM {USERS};
    ALTER TABLE usage_hour SET (fillfactor = 70);
"""

CARRIED = """
    SELECT usage_partitions_ensure(3);
    INSERT INTO usage_event
        (id, tenant_id, meter, quantity, event_time, ingested_at, source, key, dimensions)
    SELECT id, tenant_id, meter, quantity, event_time, ingested_at, source, key, dimensions
    FROM usage_event_unpartitioned;
    DROP TABLE usage_event_unpartitioned;
    SELECT usage_partitions_ensure(3);
    CREATE POLICY moved_by_owner ON usage_event_default TO CURRENT_USER
        USING (true) WITH CHECK (true);
"""


def tenant(*, constraint: bool) -> models.ForeignKey:
    return models.ForeignKey(
        db_constraint=constraint,
        db_index=False,
        on_delete=django.db.models.deletion.PROTECT,
        related_name="+",
        to="accounts.tenant",
    )


class Migration(migrations.Migration):
    dependencies = [("usage", "0002_security")]

    operations = [
        migrations.CreateModel(
            name="UsageHour",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("hour", models.DateTimeField()),
                ("digest", models.BinaryField(max_length=32)),
                ("meter", models.CharField(max_length=60)),
                ("source", models.CharField(max_length=220)),
                ("dimensions", models.JSONField(default=dict)),
                ("quantity", models.DecimalField(decimal_places=12, max_digits=38)),
                ("events", models.BigIntegerField()),
                ("tenant", tenant(constraint=True)),
            ],
            options={
                "db_table": "usage_hour",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "hour", "digest"), name="usage_hour_once"
                    )
                ],
            },
        ),
        protect("usage_hour"),
        migrations.AlterField("usagekey", "tenant", tenant(constraint=False)),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField("usageevent", "tenant", tenant(constraint=False)),
                migrations.AlterField("usageevent", "source", models.CharField(max_length=220)),
                migrations.RemoveIndex("usageevent", "usage_event_read"),
                migrations.AddIndex(
                    "usageevent",
                    models.Index(fields=["tenant", "event_time"], name="usage_event_time"),
                ),
                migrations.AddIndex(
                    "usageevent",
                    models.Index(fields=["tenant", "meter", "id"], name="usage_event_meter"),
                ),
                migrations.AddIndex(
                    "usageevent",
                    models.Index(
                        "tenant",
                        KeyTextTransform("model", "dimensions"),
                        "id",
                        name="usage_event_model",
                    ),
                ),
                migrations.AddIndex(
                    "usageevent",
                    models.Index(
                        "tenant",
                        KeyTextTransform("api_key_id", "dimensions"),
                        "id",
                        name="usage_event_api_key",
                    ),
                ),
            ],
            database_operations=[
                migrations.RunSQL(PARTITIONED),
                migrations.RunSQL(ENSURE),
                migrations.RunSQL(SUMS),
                migrations.RunSQL(CARRIED),
            ],
        ),
        protect("usage_event"),
        protect("usage_event_default"),
    ]
