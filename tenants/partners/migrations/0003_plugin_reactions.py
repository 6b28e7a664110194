"""What plugins wait to be told of."""

from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from tenants.kernel.rls import protect


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_shared_passes"),
        ("partners", "0002_security"),
    ]

    operations = [
        migrations.CreateModel(
            name="Reaction",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("plugin", models.CharField(max_length=63)),
                ("hook", models.CharField(max_length=40)),
                ("key", models.CharField(max_length=200)),
                ("args", models.JSONField()),
                ("tries", models.PositiveSmallIntegerField(default=0)),
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
                "db_table": "plugin_reaction",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["due_at"], name="plugin_reaction_due")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "plugin", "hook", "key"), name="plugin_reaction_once"
                    )
                ],
            },
        ),
        protect("plugin_reaction"),
    ]
