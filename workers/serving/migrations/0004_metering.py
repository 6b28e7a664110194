import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

from tenants.kernel import rls


class Migration(migrations.Migration):
    """When deployments were ready, and up to which hour the periodic meters have counted."""

    dependencies = [("serving", "0003_replica_active"), ("accounts", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="deployment",
            name="wakings",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.CreateModel(
            name="MeterWatermark",
            fields=[
                ("meter", models.CharField(max_length=60, primary_key=True, serialize=False)),
                ("until", models.DateTimeField()),
            ],
            options={"db_table": "meter_watermark"},
        ),
        migrations.CreateModel(
            name="ReadySpan",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("started_at", models.DateTimeField(db_default=Now())),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "deployment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="spans",
                        to="serving.deployment",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.tenant",
                    ),
                ),
            ],
            options={
                "db_table": "ready_span",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(
                        fields=["tenant", "deployment", "started_at"], name="ready_span_read"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("tenant", "deployment"),
                        name="ready_span_one_open",
                    )
                ],
            },
        ),
        rls.hidden("meter_watermark"),
        rls.protect("ready_span"),
        migrations.RunSQL(
            """
            INSERT INTO ready_span (tenant_id, deployment_id)
            SELECT tenant_id, id FROM deployment WHERE state = 'ready'
            """,
            migrations.RunSQL.noop,
        ),
    ]
