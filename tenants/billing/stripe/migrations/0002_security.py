"""Tenants read what is theirs and ask for visits; all else is the system's to write."""

from __future__ import annotations

from django.db import migrations

from tenants.kernel.rls import hidden, protect, read_only

TENANTS = ("stripe_call", "stripe_object", "stripe_visit", "stripe_stream", "stripe_report")


class Migration(migrations.Migration):
    dependencies = [("stripe", "0001_initial"), ("billing", "0002_security")]

    operations = [
        *(protect(table) for table in TENANTS),
        *(read_only(table) for table in TENANTS if table != "stripe_visit"),
        hidden("stripe_event"),
        hidden("stripe_finding"),
    ]
