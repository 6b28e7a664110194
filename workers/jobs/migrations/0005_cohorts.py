import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from tenants.kernel.rls import hidden


class Migration(migrations.Migration):
    """Shared passes: which attempts go through them together, and under which lease."""

    dependencies = [("jobs", "0004_money"), ("accounts", "0004_shared_passes")]

    operations = [
        migrations.CreateModel(
            name="Cohort",
            fields=[
                ("id", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("key", models.CharField(max_length=120)),
                ("queue", models.CharField(max_length=40)),
                ("slot", models.PositiveIntegerField(default=0)),
                ("lease_expires_at", models.DateTimeField()),
                (
                    "heartbeat_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "started_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "worker",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cohorts",
                        to="jobs.worker",
                    ),
                ),
            ],
            options={
                "db_table": "cohort",
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=["lease_expires_at"],
                        name="cohort_lease",
                    )
                ],
            },
        ),
        hidden("cohort"),
        migrations.AddField(
            model_name="job",
            name="cohort_key",
            field=models.CharField(blank=True, default="", max_length=120),
        ),
        migrations.AddField(
            model_name="job", name="update_tokens", field=models.FloatField(default=0)
        ),
        migrations.AddField(
            model_name="job", name="shares_passes", field=models.BooleanField(default=False)
        ),
        migrations.AddField(
            model_name="attempt",
            name="cohort",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="attempts",
                to="jobs.cohort",
            ),
        ),
        migrations.AlterField(
            model_name="attempt",
            name="lease_expires_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddConstraint(
            model_name="attempt",
            constraint=models.CheckConstraint(
                condition=models.Q(cohort__isnull=True) ^ models.Q(lease_expires_at__isnull=True),
                name="attempt_one_lease",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "queued")) & ~models.Q(cohort_key=""),
                fields=["cohort_key", "available_at"],
                name="job_joinable",
            ),
        ),
    ]
