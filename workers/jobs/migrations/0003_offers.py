"""What workers have on offer, readable where the table itself is hidden: placement runs for tenants too."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("jobs", "0002_security"), ("costs", "0001_initial")]

    operations = [
        migrations.AddField("worker", "busy", models.PositiveIntegerField(default=0)),
        migrations.AddField("worker", "memory_bytes", models.BigIntegerField(default=0)),
        migrations.AddIndex("attempt", models.Index(fields=["ended_at"], name="attempt_ended")),
        migrations.RunSQL(
            sql="""
                CREATE FUNCTION worker_offers(
                    OUT worker_class text, OUT free_slots bigint, OUT memory_bytes bigint,
                    OUT price numeric
                ) RETURNS SETOF record
                LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
                    SELECT w.worker_class, sum(greatest(w.slots - w.busy, 0)), max(w.memory_bytes),
                           (SELECT r.amount FROM cost_rate r
                            WHERE r.resource_id = 'worker.' || w.worker_class
                              AND r.valid_from <= now()
                            ORDER BY r.valid_from DESC LIMIT 1)
                    FROM worker w
                    WHERE w.slots > 0 AND w.stopped_at IS NULL AND w.draining_at IS NULL
                      AND w.heartbeat_at > now() - interval '1 minute'
                    GROUP BY w.worker_class
                $$;
            """,
            reverse_sql="DROP FUNCTION worker_offers();",
        ),
    ]
