"""Row-level security and grants: tenants read their own documents, only the system writes them."""

from __future__ import annotations

from django.db import migrations

from tenants.kernel.rls import append_only, hidden, protect, read_only

TENANTS = (
    "statement", "invoice", "invoice_line", "invoice_tax", "credit_note", "credit_note_line",
    "payment", "payment_part", "refund", "dunning_step", "tax_profile",
)  # fmt: skip
NEVER_CHANGED = ("invoice_line", "invoice_tax", "credit_note_line", "payment_part", "tax_rate")


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        *(protect(table) for table in TENANTS),
        *(read_only(table) for table in (*TENANTS[:-1], "tax_rate")),
        *(append_only(table) for table in NEVER_CHANGED),
        hidden("document_number"),
        hidden("bank_transfer"),
    ]
