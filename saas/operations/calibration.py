"""How good quotes were: how many jobs stayed within the expected and the high case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.pages.usage import RANGES
from saas.console.readonly import Section
from saas.console.words import JOB_KINDS
from saas.operations.costs import since_midnight
from saas.operations.words import MEASURES
from workers.jobs.calibration import Calibration, calibrations


def calibration(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    given = request.GET.get("days")
    days = int(given) if given in {str(d) for d in RANGES} else 30
    rows = calibrations(since=since_midnight(days))
    return operations.page(
        request,
        "operations/calibration.html",
        title=_("Calibration of quotes"),
        choices=[("days", _("Range"), RANGES.items(), days)],
        chart=calibration_chart(rows),
        rows=Section(_("By class of work"), _COLUMNS, rows),
    )


def calibration_chart(rows: Sequence[Calibration]) -> dict[str, Any]:
    """Coverage in percent: half of the jobs should stay within the expected case, nine in ten
    within the high one.
    """
    return {
        "labels": [f"{_name(row)} · {MEASURES[row.measure]}" for row in rows],
        "unit": "%",
        "apart": True,
        "datasets": [
            {"label": str(_("Within the expected")), "data": [float(r.p50 * 100) for r in rows]},
            {"label": str(_("Within the high")), "data": [float(r.p90 * 100) for r in rows]},
            {"label": "50 %", "data": [50.0] * len(rows), "line": True},
            {"label": "90 %", "data": [90.0] * len(rows), "line": True},
        ],
    }


def _name(row: Calibration) -> str:
    kind = str(JOB_KINDS.get(row.kind, row.kind))
    return " · ".join(part for part in (kind, row.base, row.method, row.device) if part)


_COLUMNS = (
    show.word("measure", _("Measure"), MEASURES),
    show.word("kind", _("Kind"), JOB_KINDS),
    show.text("base", _("Base model")),
    show.text("method", _("Method")),
    show.text("device", _("Device")),
    show.number("jobs", _("Jobs")),
    show.percent("p50", _("Within the expected")),
    show.percent("p90", _("Within the high")),
    show.percent("ratio", _("Actual of expected, median")),
    show.percent("ratio_90", _("90th percentile")),
)
