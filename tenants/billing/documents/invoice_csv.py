"""An invoice as CSV: every line, tax, credit and total, one a row, for a spreadsheet or a script.

Amounts are plain decimals; texts that a spreadsheet would take for a formula are marked as text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal

from tenants.billing.descriptions import line_said
from tenants.billing.documents.view import InvoiceView
from tenants.kernel.money import Money

COLUMNS = (
    "invoice", "row", "position", "kind", "description", "period", "meter", "quantity", "unit",
    "price_version", "exact", "amount", "currency",
)  # fmt: skip


def invoice_csv(view: InvoiceView, *, language: str = "en") -> bytes:
    """Return UTF-8 CSV (RFC 4180) whose rows of `row` line, tax, … sum as the invoice does.

    Descriptions are in `language`; what a program reads (names, kinds, units) is not.
    """
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for row in _rows(view, language):
        same = {"invoice": view.number, "currency": view.currency}
        writer.writerow({key: safe_cell(value) for key, value in (same | row).items()})
    return out.getvalue().encode()


def safe_cell(value: str) -> str:
    """A text that begins like a formula gets an apostrophe; numbers stay numbers.

    https://owasp.org/www-community/attacks/CSV_Injection
    """
    starts = value[:1] in {"=", "+", "-", "@", "\t", "\r"}
    return f"'{value}" if starts and not _is_number(value) else value


def _is_number(value: str) -> bool:
    return value.removeprefix("-").replace(".", "", 1).isdecimal()


def _rows(view: InvoiceView, language: str) -> Iterator[dict[str, str]]:
    def cents(value: Decimal) -> str:
        return f"{Money(value, view.currency).rounded().amount:f}"

    for line in view.lines:
        yield {
            "row": "line",
            "position": str(line.position),
            "kind": line.kind,
            "description": line_said(line, language),
            "period": line.period,
            "meter": line.meter,
            "quantity": "" if line.quantity is None else f"{line.quantity.normalize():f}",
            "unit": line.unit,
            "price_version": line.price_version,
            "exact": f"{line.exact:f}",
            "amount": cents(line.net),
        }
    for tax in view.taxes:
        base = cents(tax.base)
        yield {
            "row": "tax",
            "description": f"{tax.name} {tax.rate.normalize():f} on {base}",
            "amount": cents(tax.amount),
        }
    for name, value in _sums(view):
        yield {"row": name, "amount": cents(value)}


def _sums(view: InvoiceView) -> Iterator[tuple[str, Decimal]]:
    """Credit stands below zero, so that total and what follows it sum to the amount due."""
    yield "total", view.total
    for name in ("allowance", "promotion", "prepaid"):
        yield name, -getattr(view, name)
    yield "brought_forward", view.brought_forward
    yield "due", view.due
    yield "paid", view.paid
    yield "credited", view.credited
