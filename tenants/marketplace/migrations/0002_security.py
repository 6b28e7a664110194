"""Row-level security and grants: a partner reads its own; orders are both parties'."""

from __future__ import annotations

from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.kernel.rls import CURRENT_TENANT, app_role, append_only, protect, read_only

_BOTH = f"(customer_id = {CURRENT_TENANT} OR seller_id = {CURRENT_TENANT})"


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0001_initial"), ("accounts", "0002_security")]

    operations = [
        protect("listing"),
        RunSQL(  # a partner submits; the system moves
            f"REVOKE UPDATE, DELETE ON listing FROM {app_role()};",
            f"GRANT UPDATE, DELETE ON listing TO {app_role()};",
        ),
        protect("listing_step"),
        append_only("listing_step"),
        protect("partner_statement"),
        read_only("partner_statement"),
        append_only("partner_statement"),
        protect("partner_payout"),
        read_only("partner_payout"),
        read_only("service"),
        RunSQL(
            f"""
            ALTER TABLE service_order ENABLE ROW LEVEL SECURITY;
            ALTER TABLE service_order FORCE ROW LEVEL SECURITY;
            CREATE POLICY parties ON service_order USING {_BOTH} WITH CHECK {_BOTH};
            """,
            "DROP POLICY parties ON service_order;",
        ),
    ]
