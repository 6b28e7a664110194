"""The framework's own tables: the app's role writes sessions and nothing else.

Users, their rights and their addresses are written in the system's scope only (sign-up, sign-in),
so that no request of a tenant can make an operator. Addresses of all tenants lie in allauth's
tables, which know no tenant: they are hidden.
"""

from __future__ import annotations

from django.db import migrations

from tenants.kernel.rls import hidden, read_only


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_security"),
        ("account", "0009_emailaddress_unique_primary_email"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("sessions", "0001_initial"),
    ]

    operations = [
        read_only("account_user"),
        read_only("account_user_groups"),
        read_only("account_user_user_permissions"),
        read_only("auth_group"),
        read_only("auth_group_permissions"),
        read_only("auth_permission"),
        read_only("django_admin_log"),
        read_only("django_content_type"),
        read_only("django_migrations"),
        hidden("account_emailaddress"),
        hidden("account_emailconfirmation"),
    ]
