"""Row-level security and grants: lock two."""

from __future__ import annotations

from django.db import migrations

from tenants.kernel.rls import hidden, protect


class Migration(migrations.Migration):
    dependencies = [("serving", "0001_initial")]

    operations = [
        hidden("replica"),
        protect("deployment"),
    ]
