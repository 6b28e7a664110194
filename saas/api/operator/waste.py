"""Waste for staff: what leaks, why, and the action that stops it; what the levers have gained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.operator.costs import table, table_of
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.costs.levers import levers_newest
from tenants.costs.models import LeverMeasurement, WasteFinding
from tenants.costs.waste import finding_close
from workers.waste.finders import FINDERS
from workers.waste.services import waste_apply, waste_undo

TAG = "operator"
READS, ACTS = "costs.read", "jobs.write"


class WasteQuery(PageQuery):
    state = serializers.ChoiceField(WasteFinding.State.values, required=False)
    kind = serializers.ChoiceField(list(FINDERS), required=False)


class WasteOut(serializers.Serializer[WasteFinding]):
    """Money is for a month."""

    id = serializers.CharField()
    object = Constant("operator.waste")
    kind = serializers.CharField()
    subject = serializers.CharField()
    tenant_id = serializers.CharField(help_text="Whose it is; empty: nobody's alone.")
    saving = serializers.CharField(help_text="What its action alone would save.")
    saving_beside_others = serializers.CharField(
        source="beside", help_text="What it adds to the actions found before it: these sum up."
    )
    currency = serializers.CharField()
    action = serializers.CharField()
    arguments = serializers.DictField()
    evidence = serializers.DictField()
    state = serializers.ChoiceField(WasteFinding.State.values)
    first_seen_at = UnixTime()
    last_seen_at = UnixTime()
    applied_at = UnixTime(allow_null=True)
    undo_until = UnixTime(allow_null=True)
    closed_at = UnixTime(allow_null=True)
    before = serializers.CharField(
        allow_null=True, help_text="What its subject cost before the action."
    )
    after = serializers.CharField(allow_null=True, help_text="What it costs since.")
    measured_at = UnixTime(allow_null=True)


class LeverOut(serializers.Serializer[LeverMeasurement]):
    """Of cost: 0.2 saves a fifth. `low` to `high` is a 90% band."""

    object = Constant("operator.lever")
    lever = serializers.ChoiceField(LeverMeasurement.Lever.values)
    point = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()
    saved = serializers.CharField(help_text="In the period.")
    currency = serializers.CharField()
    sample = serializers.IntegerField(help_text="Jobs, or days, that it comes from.")
    evidence = serializers.DictField()
    since = UnixTime()
    until = UnixTime()


def render(row: WasteFinding) -> dict[str, Any]:
    return WasteOut(row).data


def lever_rows() -> Iterator[dict[str, Any]]:
    return (LeverOut(row).data for row in levers_newest())


class WasteView(ApiView):
    @operation(
        "List waste findings", tag=TAG, needs=READS, answer=list_of(WasteOut), query=WasteQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(WasteQuery)
        rows = WasteFinding.objects.all()
        for name in ("state", "kind"):
            if name in query:
                rows = rows.filter(**{name: query[name]})
        return Response(page(rows, query, render))


class WasteApplyView(ApiView):
    """Refused with 409 where what was found has changed since, or nothing can be done now."""

    @operation("Stop a leak", tag=TAG, needs=ACTS, answer=WasteOut)
    def post(self, request: Request, waste_id: str) -> Response:  # noqa: ARG002
        return Response(render(waste_apply(actor=self.actor, finding_id=waste_id)))


class WasteUndoView(ApiView):
    """Possible until `undo_until`."""

    @operation("Take back what stopped a leak", tag=TAG, needs=ACTS, answer=WasteOut)
    def post(self, request: Request, waste_id: str) -> Response:  # noqa: ARG002
        return Response(render(waste_undo(actor=self.actor, finding_id=waste_id)))


class WasteCloseView(ApiView):
    """It is meant to be so; what is still there is found again."""

    @operation("Close a waste finding", tag=TAG, needs=ACTS, answer=WasteOut)
    def post(self, request: Request, waste_id: str) -> Response:  # noqa: ARG002
        return Response(render(finding_close(actor=self.actor, finding_id=waste_id)))


class LeversView(ApiView):
    @operation(
        "What each lever has gained", tag=TAG, needs=READS, answer=table_of(LeverOut, "LeverList")
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return table(lever_rows())
