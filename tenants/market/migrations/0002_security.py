"""Row-level security and grants: lock two."""

from __future__ import annotations

from django.db import migrations

from tenants.kernel.rls import append_only, hidden


class Migration(migrations.Migration):
    dependencies = [("market", "0001_initial")]

    operations = [
        hidden("market_import"),
        hidden("market_product"),
        hidden("market_move"),
        append_only("market_move"),
        hidden("market_offer"),
        hidden("market_alert"),
    ]
