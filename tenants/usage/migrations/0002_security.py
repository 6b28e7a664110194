"""Row-level security and grants: lock two."""

from __future__ import annotations

from django.db import migrations

from tenants.kernel.rls import append_only, protect


class Migration(migrations.Migration):
    dependencies = [("usage", "0001_initial")]

    operations = [
        protect("usage_key"),
        protect("usage_event"),
        append_only("usage_key"),
        append_only("usage_event"),
    ]
