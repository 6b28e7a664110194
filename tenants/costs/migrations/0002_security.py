"""Row-level security and grants: lock two."""

from __future__ import annotations

from django.db import migrations

from tenants.kernel.rls import append_only, hidden


class Migration(migrations.Migration):
    dependencies = [("costs", "0001_initial")]

    operations = [
        hidden("cost_resource"),
        hidden("cost_rate"),
        hidden("cost_entry"),
        append_only("cost_entry"),
    ]
