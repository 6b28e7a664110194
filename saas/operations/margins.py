"""Margins: what each job was quoted, charged and cost, and how revenue and cost go by day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.figures import first_day
from saas.console.pages.usage import RANGES
from saas.console.readonly import Section
from saas.operations.costs import since_midnight
from saas.operations.lists.work import job_link
from tenants.accounts.models import Tenant
from tenants.costs.defaults import CURRENCY
from tenants.pricing.margins import (
    DayMargin,
    JobMargin,
    job_margins,
    margin_days,
    quote_accuracies,
)
from tenants.pricing.selectors import quote_errors

SHOWN = 100  # jobs
ZERO = Decimal(0)


def margins(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    given = request.GET.get("days")
    days = int(given) if given in {str(d) for d in RANGES} else 30
    since = since_midnight(days)
    accuracies = quote_accuracies(quote_errors(since=since))
    by_day, jobs = margin_days(since=since), job_margins(since=since)
    revenue = sum((day.revenue for day in by_day), ZERO)
    cost = sum((day.cost for day in by_day), ZERO)
    return operations.page(
        request,
        "operations/margins.html",
        title=_("Margins"),
        figures=[
            (_("Revenue"), show.as_cents(revenue, CURRENCY), _("before tax")),
            (_("Cost"), show.as_cents(cost, CURRENCY), _("idle time included")),
            (_("Margin"), show.as_cents(revenue - cost, CURRENCY), _share(revenue - cost, revenue)),
        ],
        chart=margin_chart(by_day, days=days),
        choices=[("days", _("Range"), RANGES.items(), days)],
        jobs=Section(_("Job by job"), _job_columns(jobs), jobs[:SHOWN]),
        errors=Section(_("Quotes against charges"), _ERROR_COLUMNS, accuracies),
    )


def margin_chart(by_day: Sequence[DayMargin], *, days: int) -> dict[str, Any]:
    """Revenue and cost as bars beside one another, the margin as a line over them."""
    start = first_day(days)
    dates = [start + dt.timedelta(days=n) for n in range(days)]
    known = {row.day: row for row in by_day}
    rows = [known.get(date) or DayMargin(date, ZERO, ZERO) for date in dates]
    return {
        "labels": [f"{date:%m-%d}" for date in dates],
        "unit": CURRENCY,
        "apart": True,
        "datasets": [
            {"label": str(_("Revenue")), "data": [float(row.revenue) for row in rows]},
            {"label": str(_("Cost")), "data": [float(row.cost) for row in rows]},
            {"label": str(_("Margin")), "data": [float(row.margin) for row in rows], "line": True},
        ],
    }


def _share(part: Decimal, whole: Decimal) -> str:
    return show.as_percent(part / whole) if whole else ""


_money = partial(show.money, currency=CURRENCY)


def _job_columns(jobs: Sequence[JobMargin]) -> Sequence[show.Cell]:
    tenants = Tenant.objects.filter(pk__in={job.tenant_id for job in jobs[:SHOWN]})
    names = dict(tenants.values_list("id", "name"))
    return (
        show.column(lambda job: job_link(job.job_id), _("Job")),
        show.column(lambda job: names.get(job.tenant_id, job.tenant_id), _("Tenant")),
        _money("quoted", _("Quoted")),
        _money("quoted_high", _("Quoted at most")),
        _money("charged", _("Charged")),
        _money("cost", _("Cost")),
        _money("margin", _("Margin")),
        show.percent("share", _("Share")),
        show.moment("last", _("Charged on")),
    )


_ERROR_COLUMNS = (
    show.column("kind", _("Kind")),
    show.number("jobs", _("Jobs")),
    show.percent("bias", _("Charged above the expected")),
    show.percent("error", _("Off by")),
    show.percent("within", _("Within the quote's bounds")),
)
