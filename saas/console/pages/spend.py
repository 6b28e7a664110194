"""Spend by day, split by what was bought, by model or by key, and the next invoice so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console.asking import actor_of
from saas.console.columns import as_cents, as_money
from saas.console.figures import first_day, stacked_days, totals
from saas.console.money_words import REVENUE_LINES
from saas.console.pages.upcoming import upcoming
from saas.console.pages.usage import RANGES
from saas.console.spending import daily_spend, spent_since
from saas.console.words import Word
from saas.currencies import currency_of
from tenants.accounts.models import ApiKey
from tenants.kernel.clock import now

GROUPS: dict[str, Word] = {
    "revenue": _("By what was bought"),
    "model": _("By model"),
    "key": _("By API key"),
}


def spend(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    given = request.GET
    days = int(given["days"]) if given.get("days") in {str(d) for d in RANGES} else 30
    group = given["group"] if given.get("group") in GROUPS else "revenue"
    currency = currency_of(actor_of(request).tenant_id)
    rows = daily_spend(group=group, days=days, currency=currency)
    names = _names(group)
    month = now().date().replace(day=1)
    return console.page(
        request,
        "console/spend.html",
        title=_("Spend"),
        figures=[
            (_("Today"), as_cents(spent_since(first_day(1), currency), currency), _("before tax")),
            (_("This month"), as_cents(spent_since(month, currency), currency), _("before tax")),
        ],
        chart={**stacked_days(rows, days=days, names=names), "unit": currency},
        totals=[
            (names.get(name, name) or _("Other"), as_money(total, currency))
            for name, total in totals(rows)
        ],
        choices=[
            ("group", _("Split"), GROUPS.items(), group),
            ("days", _("Range"), RANGES.items(), days),
        ],
        upcoming=upcoming(actor_of(request).tenant_id, currency),
    )


def _names(group: str) -> Mapping[str, Any]:
    """What the groups' values are called."""
    if group == "revenue":
        return REVENUE_LINES
    return dict(ApiKey.objects.values_list("id", "name")) if group == "key" else {}
