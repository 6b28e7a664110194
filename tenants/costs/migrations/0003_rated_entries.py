"""Each entry points at the rate that priced it; its amount is kept unrounded."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

from tenants.kernel.rls import append_only


class Migration(migrations.Migration):
    dependencies = [("costs", "0002_security")]

    operations = [
        migrations.AddField(
            model_name="costentry",
            name="rate",
            field=models.ForeignKey(
                db_index=False,
                default=None,  # no entries were written before rates were named
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="costs.rate",
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="costentry", name="labels", field=models.JSONField(default=dict)
        ),
        migrations.AlterField(
            model_name="costentry",
            name="amount",
            field=models.DecimalField(decimal_places=18, max_digits=38),
        ),
        migrations.RemoveIndex(model_name="costentry", name="cost_entry_job"),
        migrations.AddIndex(
            model_name="costentry", index=models.Index(fields=["job_id"], name="cost_entry_job")
        ),
        append_only("cost_rate"),
    ]
