"""Budgets count, where a month begins, what is held since the one before."""

from __future__ import annotations

from django.conf import settings
from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.kernel.rls import app_role
from tenants.ledger.functions import rights, source


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_security")]

    operations = [
        RunSQL(source("budgets.sql"), RunSQL.noop),
        RunSQL(rights(app_role(), str(settings.DATABASES["system"]["USER"])), RunSQL.noop),
    ]
