"""People sign up, sign in and change in the system's scope; a tenant's code reads its members only."""

from __future__ import annotations

from django.db import migrations

from tenants.kernel.rls import read_only


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_security")]

    operations = [read_only("account_user")]
