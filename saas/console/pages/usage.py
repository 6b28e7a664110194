"""The usage explorer: what was used by day, by meter or by model."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console.columns import as_number
from saas.console.figures import daily_usage, stacked_days, totals
from saas.console.words import METERS

RANGES = {7: _("7 days"), 30: _("30 days"), 90: _("90 days")}
MEASURES = {
    "tokens.": _("Tokens"),
    "requests": _("Requests"),
    "slot.": _("Worker time"),
    "storage.": _("Storage"),
    "deployment.": _("Deployments"),
}
GROUPS = {"meter": _("By meter"), "model": _("By model")}


def usage(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    given = request.GET
    days = int(given["days"]) if given.get("days") in {str(d) for d in RANGES} else 30
    measure = given["measure"] if given.get("measure") in MEASURES else "tokens."
    group = given["group"] if given.get("group") in GROUPS else "meter"
    rows = daily_usage(prefix=measure, group=group, days=days)
    return console.page(
        request,
        "console/usage.html",
        title=_("Usage"),
        chart=stacked_days(rows, days=days),
        totals=[(METERS.get(name, name) or "–", as_number(total)) for name, total in totals(rows)],
        choices=[
            ("measure", _("What"), MEASURES.items(), measure),
            ("group", _("Split"), GROUPS.items(), group),
            ("days", _("Range"), RANGES.items(), days),
        ],
    )
