"""Row-level security and grants, and the one reader of agreements for a customer's charge."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.kernel.rls import app_role, append_only, hidden, protect, read_only

TERMS = Path(__file__).parents[1] / "sql" / "terms.sql"
SIGNATURE = "partner_terms(text[], timestamptz, text)"


def _rights() -> RunSQL:
    system = settings.DATABASES["system"]["USER"]
    return RunSQL(
        sql=f"""
            CREATE POLICY partner_terms_reader ON agreement FOR SELECT TO CURRENT_USER USING (true);
            REVOKE ALL ON FUNCTION {SIGNATURE} FROM PUBLIC;
            GRANT EXECUTE ON FUNCTION {SIGNATURE} TO {app_role()}, {system};
        """,
        reverse_sql="DROP POLICY partner_terms_reader ON agreement;",
    )


class Migration(migrations.Migration):
    dependencies = [("partners", "0001_initial"), ("accounts", "0002_security")]

    operations = [
        protect("agreement"),
        read_only("agreement"),
        protect("plugin_installation"),
        read_only("seller"),
        read_only("plugin_release"),
        hidden("partner_share"),
        hidden("plugin_health"),
        append_only("partner_share"),
        RunSQL(TERMS.read_text(), f"DROP FUNCTION {SIGNATURE};"),
        _rights(),
    ]
