"""Document numbers: one series a year, without a gap. Taken in the transaction of the document."""

from __future__ import annotations

import datetime as dt

from django.conf import settings

from tenants.billing.models import DocumentNumber

INVOICE, CREDIT_NOTE = "invoice", "credit_note"
_MARKS = {INVOICE: "", CREDIT_NOTE: "CN-"}


def number_next(series: str, *, at: dt.datetime) -> str:
    """Return the next number of `series` in `at`'s year (UTC), and hold it until the commit.

    Where the transaction is undone, the number is given out again. System scope.
    """
    year = at.astimezone(dt.UTC).year
    row, _ = DocumentNumber.objects.select_for_update().get_or_create(series=series, year=year)
    row.last += 1
    row.save(update_fields=["last"])
    return f"{settings.INVOICE_PREFIX}-{_MARKS[series]}{year}-{row.last:06}"
