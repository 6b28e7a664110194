"""Row-level security and grants: lock two.

A tenant sees the users who are its members. The one look-up across tenants, by exact address, is a function that
runs with its owner's rights and returns nothing but the id.
"""

from __future__ import annotations

from django.db import migrations

from tenants.kernel.rls import CURRENT_TENANT, app_role, append_only, protect

USERS = f"""
    ALTER TABLE account_user ENABLE ROW LEVEL SECURITY;
    CREATE POLICY members_only ON account_user TO {app_role()} USING (
        EXISTS (SELECT FROM member WHERE member.user_id = account_user.id
                AND member.tenant_id = {CURRENT_TENANT}));
    CREATE FUNCTION account_user_id_by_email(address text) RETURNS text
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
        AS $$ SELECT id FROM account_user WHERE email = lower(address) AND is_active $$;
"""
UNDO_USERS = """
    DROP FUNCTION account_user_id_by_email(text);
    DROP POLICY members_only ON account_user;
    ALTER TABLE account_user DISABLE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        protect("tenant", column="id"),
        protect("member"),
        protect("api_key"),
        protect("audit_entry"),
        append_only("audit_entry"),
        migrations.RunSQL(USERS, UNDO_USERS),
    ]
