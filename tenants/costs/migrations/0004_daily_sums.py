"""Each UTC day's costs, summed by a trigger in the statement that inserts entries."""

from __future__ import annotations

from django.db import migrations, models
from django.db.migrations.operations import RunSQL

from tenants.kernel.rls import app_role, hidden, system_role

KEYS = {
    "cost_day": "day, resource_id, purpose, tenant_id, kind, base, method",
    "cost_worker_day": "day, resource_id, purpose, worker, kind, base, method",
}


def summed(table: str, source: str) -> str:
    """Sorted, so that two writers take the rows' locks in one order."""
    keys = KEYS[table]
    return f"""
        INSERT INTO {table} ({keys}, seconds, amount, entries)
        SELECT {keys}, sum(quantity), sum(amount), count(*)
        FROM (
            SELECT (started_at AT TIME ZONE 'UTC')::date AS day, resource_id, purpose, tenant_id,
                worker, left(coalesce(labels->>'kind', ''), 200) AS kind, left(coalesce(labels->>'base', ''), 200) AS base,
                left(coalesce(labels->>'method', ''), 200) AS method, quantity, amount
            FROM {source}
        ) AS counted
        GROUP BY {keys} ORDER BY {keys}
        ON CONFLICT ({keys}) DO UPDATE
        SET seconds = {table}.seconds + excluded.seconds,
            amount = {table}.amount + excluded.amount,
            entries = {table}.entries + excluded.entries;
    """


TRIGGER = f"""
    CREATE FUNCTION cost_day_add() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
    BEGIN
        {summed("cost_day", "added")}
        {summed("cost_worker_day", "added")}
        RETURN NULL;
    END $$;
    CREATE TRIGGER cost_day_add AFTER INSERT ON cost_entry
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION cost_day_add();
    {summed("cost_day", "cost_entry")}
    {summed("cost_worker_day", "cost_entry")}
    REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON cost_day, cost_worker_day
        FROM PUBLIC, {app_role()}, {system_role()};
    ALTER TABLE cost_day SET (fillfactor = 70);
    ALTER TABLE cost_worker_day SET (fillfactor = 70);
"""
UNDONE = "DROP TRIGGER cost_day_add ON cost_entry; DROP FUNCTION cost_day_add();"


def table(name: str, by: str) -> migrations.CreateModel:
    keys = KEYS[{"CostDay": "cost_day", "CostWorkerDay": "cost_worker_day"}[name]].split(", ")
    fields = ["resource" if key == "resource_id" else key for key in keys]
    width = {"tenant_id": 40, "worker": 120}[by]
    return migrations.CreateModel(
        name=name,
        fields=[
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("day", models.DateField()),
            (
                "resource",
                models.ForeignKey(
                    db_index=False,
                    on_delete=models.deletion.PROTECT,
                    related_name="+",
                    to="costs.resource",
                ),
            ),
            ("purpose", models.CharField(max_length=16)),
            ("kind", models.CharField(default="", max_length=200)),
            ("base", models.CharField(default="", max_length=200)),
            ("method", models.CharField(default="", max_length=200)),
            ("seconds", models.DecimalField(decimal_places=12, max_digits=38)),
            ("amount", models.DecimalField(decimal_places=18, max_digits=48)),
            ("entries", models.BigIntegerField()),
            (by, models.CharField(default="", max_length=width)),
        ],
        options={
            "db_table": {"CostDay": "cost_day", "CostWorkerDay": "cost_worker_day"}[name],
            "constraints": [
                models.UniqueConstraint(
                    fields=fields,
                    name={"CostDay": "cost_day_once", "CostWorkerDay": "cost_worker_day_once"}[
                        name
                    ],
                )
            ],
        },
    )


class Migration(migrations.Migration):
    dependencies = [("costs", "0003_rated_entries")]

    operations = [
        table("CostDay", "tenant_id"),
        table("CostWorkerDay", "worker"),
        hidden("cost_day"),
        hidden("cost_worker_day"),
        RunSQL(sql=TRIGGER, reverse_sql=UNDONE),
    ]
