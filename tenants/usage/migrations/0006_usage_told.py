"""How far each plugin has been told of its tenant's usage."""

from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from tenants.kernel.rls import protect


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0005_ingested_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsageTold",
            fields=[
                (
                    "installation_id",
                    models.CharField(max_length=40, primary_key=True, serialize=False),
                ),
                ("ingested_at", models.DateTimeField()),
                ("event_id", models.CharField(blank=True, default="", max_length=40)),
                (
                    "due_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
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
                "db_table": "usage_told",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["tenant", "due_at"], name="usage_told_due")],
            },
        ),
        protect("usage_told"),
    ]
