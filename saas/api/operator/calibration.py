"""How good quotes were, for staff: by class of work, for money and for time."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.operator.costs import NEEDS, TAG, table, table_of
from saas.api.operator.economics import USUAL
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.costs.daily import midnight
from tenants.kernel.clock import now
from workers.jobs.calibration import Calibration, calibrations


class CalibrationOut(serializers.Serializer[Any]):
    """Of jobs that succeeded. Shares of one; ratios of what was rated or taken to the expected."""

    object = Constant("quote_calibration")
    measure = serializers.ChoiceField(["money", "time"])
    kind = serializers.CharField()
    model = serializers.CharField()
    method = serializers.CharField()
    device = serializers.CharField(help_text="What the work ran on.")
    jobs = serializers.IntegerField()
    p50 = serializers.CharField(help_text="Share of jobs at or below the expected case.")
    p90 = serializers.CharField(help_text="Share of jobs at or below the high case.")
    ratio = serializers.CharField(help_text="The median of actual / expected.")
    ratio_90 = serializers.CharField(help_text="Its 90th percentile.")


class CalibrationQuery(serializers.Serializer[Any]):
    start_time = UnixTime(required=False, help_text="Of jobs that ended from this moment on.")


def render(row: Calibration) -> dict[str, Any]:
    numbers = {name: f"{getattr(row, name):.4f}" for name in ("p50", "p90", "ratio", "ratio_90")}
    return CalibrationOut({**vars(row), "model": row.base, **numbers}).data


class QuoteCalibrationView(ApiView):
    @operation(
        "Calibration of quotes",
        tag=TAG,
        needs=NEEDS,
        answer=table_of(CalibrationOut, "QuoteCalibrationList"),
        query=CalibrationQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        usual = midnight(now()) - USUAL
        since = self.query(CalibrationQuery).get("start_time") or usual
        return table(map(render, calibrations(since=since)))
