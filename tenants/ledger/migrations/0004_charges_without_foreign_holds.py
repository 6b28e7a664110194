"""A charge in another currency than its hold's is made without it: the work was done."""

from __future__ import annotations

from django.db import migrations
from django.db.migrations.operations import RunSQL

from tenants.ledger.functions import source


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_budgets_carry_holds")]

    operations = [RunSQL(source("charges.sql"), RunSQL.noop)]
