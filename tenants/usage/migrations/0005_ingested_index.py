"""Find what came late without reading months of events: they lie in the order in which they came."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("usage", "0004_dimension_columns")]

    operations = [
        migrations.AddIndex(
            "usageevent", BrinIndex(fields=["ingested_at"], name="usage_event_ingested")
        ),
    ]
