"""Row-level security and grants: lock two."""

from __future__ import annotations

from django.db import migrations

from tenants.kernel.rls import append_only, hidden, protect, read_only, shared


class Migration(migrations.Migration):
    dependencies = [("pricing", "0002_list_prices")]

    operations = [
        shared("price_book"),
        shared("price_book_version"),
        shared("price"),
        read_only("price_book"),
        read_only("price_book_version"),
        read_only("price"),
        read_only("fx_rate"),
        hidden("price_override"),
        protect("contract"),
        read_only("contract"),
        protect("quote"),
        protect("charge"),
        protect("charge_line"),
        protect("period_total"),
        append_only("price_override"),
        append_only("fx_rate"),
        append_only("quote"),
        append_only("charge"),
        append_only("charge_line"),
    ]
