"""Row-level security and grants: lock two."""

from __future__ import annotations

from django.db import migrations

from tenants.kernel.rls import protect, read_only


class Migration(migrations.Migration):
    dependencies = [("assets", "0001_initial")]

    operations = [
        read_only("base_model"),
        protect("file"),
        protect("upload"),
        protect("upload_part"),
        protect("dataset"),
        protect("model_version"),
    ]
