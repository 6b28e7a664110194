"""What Stripe and our books disagree about, for staff."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.billing.stripe.findings import finding_close
from tenants.billing.stripe.models import StripeFinding

TAG = "operator"


class FindingsQuery(PageQuery):
    state = serializers.ChoiceField(StripeFinding.State.values, required=False)


class FindingOut(serializers.Serializer[StripeFinding]):
    id = serializers.CharField()
    object = Constant("operator.stripe_finding")
    kind = serializers.CharField()
    subject = serializers.CharField(help_text="Stripe's id, or ours.")
    tenant_id = serializers.CharField()
    evidence = serializers.DictField()
    action = serializers.CharField(help_text="What to do about it.")
    state = serializers.ChoiceField(StripeFinding.State.values)
    first_seen_at = UnixTime()
    last_seen_at = UnixTime()
    closed_at = UnixTime(allow_null=True)


def render(row: StripeFinding) -> dict[str, Any]:
    return FindingOut(row).data


class StripeFindingsView(ApiView):
    @operation(
        "List findings about Stripe",
        tag=TAG,
        needs="billing.read",
        answer=list_of(FindingOut),
        query=FindingsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(FindingsQuery)
        rows = StripeFinding.objects.all()
        rows = rows.filter(state=query["state"]) if "state" in query else rows
        return Response(page(rows, query, render))


class StripeFindingCloseView(ApiView):
    """It has been dealt with; what is still there is found again."""

    @operation("Close a finding", tag=TAG, needs="billing.write", answer=FindingOut)
    def post(self, request: Request, finding_id: str) -> Response:  # noqa: ARG002
        return Response(render(finding_close(actor=self.actor, finding_id=finding_id)))
