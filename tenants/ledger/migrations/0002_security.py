"""The books' functions, and lock two: tenants read their own, and one owner writes."""

from __future__ import annotations

from django.conf import settings
from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.kernel.rls import app_role, append_only, protect
from tenants.ledger.functions import FILES, TABLES, rights, source

APPEND_ONLY = ("ledger_account", "ledger_transaction", "ledger_posting", "funding")


def writer(table: str, *, only: str = "ALL", where: str = "true") -> RunSQL:
    """Let the owner, as whom the functions run, past the policies of a table."""
    check = "" if only == "SELECT" else f"WITH CHECK ({where})"
    using = "" if only == "INSERT" else f"USING ({where})"
    return RunSQL(
        sql=f"CREATE POLICY ledger_writer ON {table} FOR {only} TO CURRENT_USER {using} {check};",
        reverse_sql=f"DROP POLICY ledger_writer ON {table};",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0001_initial"),
        ("kernel", "0002_security"),
        ("accounts", "0002_security"),
    ]

    operations = [
        *(protect(table) for table in TABLES),
        *(writer(table) for table in TABLES),
        *(append_only(table) for table in APPEND_ONLY),
        writer("tenant", only="SELECT"),
        writer("outbox_event", only="INSERT", where="name = 'budget.passed'"),
        *(RunSQL(source(file)) for file in FILES),
        RunSQL(rights(app_role(), str(settings.DATABASES["system"]["USER"]))),
    ]
