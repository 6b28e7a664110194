"""Row-level security and grants: lock two."""

from __future__ import annotations

from django.db import migrations

from tenants.kernel.rls import hidden, protect


class Migration(migrations.Migration):
    dependencies = [("kernel", "0001_initial")]

    operations = [
        protect("outbox_event"),
        protect("data_key"),
        protect("idempotent_request"),
        hidden("inbox_entry"),
    ]
