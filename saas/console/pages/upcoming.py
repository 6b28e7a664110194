"""The month under way as the invoice it would be if it ended now."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.lists.invoices import line_name, line_quantity
from saas.console.readonly import Section
from tenants.billing.selectors.upcoming import invoice_upcoming

_SUMS = (
    ("net", _("Net")),
    ("tax", _("Tax")),
    ("total", _("Total")),
    ("allowance", _("Paid by allowance")),
    ("promotion", _("Paid by promotions")),
    ("prepaid", _("Paid by credit")),
    ("brought_forward", _("Brought forward")),
    ("due", _("Due")),
)


def upcoming(tenant_id: str, currency: str) -> dict[str, Any] | None:
    """Its lines and sums; None where the month has come to nothing yet."""
    view = invoice_upcoming(tenant_id=tenant_id, currency=currency)
    if not view.lines:
        return None
    return {
        "lines": Section("", _columns(currency), view.lines),
        "total": show.as_money(view.total, currency),
        "sums": [
            (label, show.as_money(getattr(view, name), currency))
            for name, label in _SUMS
            if getattr(view, name) or name in {"net", "total", "due"}
        ],
    }


def _columns(currency: str) -> tuple[show.Cell, ...]:
    return (
        show.column(line_name, _("Line")),
        show.right(show.column(line_quantity, _("Quantity"))),
        show.right(show.column(lambda line: show.as_money(line.exact, currency), _("Exact"))),
        show.right(show.column(lambda line: show.as_money(line.net, currency), _("Net"))),
    )
