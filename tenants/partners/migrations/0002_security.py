"""Row-level security and grants, and the two readers across tenants."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.kernel.rls import app_role, append_only, hidden, protect, read_only

SQL = Path(__file__).parents[1] / "sql"
TERMS = "partner_terms(text[], timestamptz, text)"
HEALTH = "partner_health(text)"


def _rights() -> RunSQL:
    system = settings.DATABASES["system"]["USER"]
    return RunSQL(
        sql=f"""
            CREATE POLICY partner_terms_reader ON agreement FOR SELECT TO CURRENT_USER USING (true);
            REVOKE ALL ON FUNCTION {TERMS}, {HEALTH} FROM PUBLIC;
            GRANT EXECUTE ON FUNCTION {TERMS}, {HEALTH} TO {app_role()}, {system};
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
        RunSQL((SQL / "terms.sql").read_text(), f"DROP FUNCTION {TERMS};"),
        RunSQL((SQL / "health.sql").read_text(), f"DROP FUNCTION {HEALTH};"),
        _rights(),
    ]
