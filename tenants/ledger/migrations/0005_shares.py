"""Charges post partners' shares with them."""

from __future__ import annotations

from django.conf import settings
from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.kernel.rls import app_role
from tenants.ledger.functions import rights, source

# as they were called before: with one argument less, they would stand beside the new ones
_FORMER = """
    DROP FUNCTION IF EXISTS wallet_charge(text, text, text, timestamptz, jsonb, text, jsonb, jsonb,
        boolean, text[]);
    DROP FUNCTION IF EXISTS charge_write(wallet, text, text, timestamptz, ledger_line[], hold,
        jsonb, jsonb, boolean, text[]);
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_charges_without_foreign_holds"), ("partners", "0002_security")]

    operations = [
        RunSQL(_FORMER, RunSQL.noop),
        RunSQL(source("shares.sql"), RunSQL.noop),
        RunSQL(source("charges.sql"), RunSQL.noop),
        RunSQL(rights(app_role(), str(settings.DATABASES["system"]["USER"])), RunSQL.noop),
    ]
