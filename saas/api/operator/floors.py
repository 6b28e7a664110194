"""Floors for staff: how they are told, which prices lie below them, what was lost by it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, UnixTime
from saas.api.operator.costs import table, table_of
from saas.api.operator.economics import days_of
from saas.api.operator.prices import READ, TAG, WRITE
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.costs.defaults import CURRENCY
from tenants.pricing.floors import BASES, FloorTerms, Takes
from tenants.pricing.models import FloorFinding
from tenants.pricing.selectors import prices_standing
from tenants.pricing.selectors.guarding import Standing, floor_terms
from tenants.pricing.selectors.sold import Loss, loss_report
from tenants.pricing.services import floor_policy_set, floors_sweep


class FloorOut(serializers.Serializer[Any]):
    """Amounts are for a million tokens, in the currency of costs."""

    object = Constant("floor")
    book_id = serializers.CharField()
    tenant_id = serializers.CharField(help_text="Empty: what the list's buyers pay.")
    price_key = serializers.CharField()
    meter = serializers.CharField()
    model = serializers.CharField(help_text="Whose cost sets the floor.")
    listed = Amount()
    effective = Amount(help_text="Net of discount, credit and caps; the cheapest unit.")
    floor = Amount()
    stop = Amount(help_text="The short-run cost: no loss budget goes below.")
    margin = Amount(help_text="effective - floor")
    permit = serializers.CharField(help_text="The override or loss budget that allows it, if any.")
    currency = serializers.CharField()


class PolicyOut(serializers.Serializer[Any]):
    object = Constant("floor_policy")
    basis = serializers.ChoiceField(BASES)
    planned_utilisation = Amount()
    fees = Amount(help_text="Ad-valorem fees, as a share of the price.")
    share = Amount(help_text="A partner's part.")
    margin = Amount(help_text="The margin wanted.")
    days = serializers.IntegerField(help_text="Of costs looked back upon.")
    months = serializers.IntegerField(help_text="Over which given credit is spread.")


class PolicyIn(serializers.Serializer[Any]):
    """What is left out stays as it is."""

    reason = serializers.CharField(max_length=500)
    basis = serializers.ChoiceField(BASES, required=False)
    planned_utilisation = Amount(required=False)
    fees = Amount(required=False)
    share = Amount(required=False)
    margin = Amount(required=False)
    days = serializers.IntegerField(required=False)
    months = serializers.IntegerField(required=False)


class FloorFindingOut(serializers.Serializer[FloorFinding]):
    id = serializers.CharField()
    object = Constant("floor_finding")
    book_id = serializers.CharField()
    tenant_id = serializers.CharField()
    price_key = serializers.CharField()
    model = serializers.CharField(source="base")
    effective = Amount()
    floor = Amount()
    stop = Amount()
    currency = serializers.CharField()
    permit = serializers.CharField(help_text="Empty: nothing allows it.")
    state = serializers.ChoiceField(FloorFinding.State.values)
    first_seen_at = UnixTime()
    last_seen_at = UnixTime()
    closed_at = UnixTime(allow_null=True)


class FindingsQuery(PageQuery):
    state = serializers.ChoiceField(FloorFinding.State.values, required=False)


class SweepOut(serializers.Serializer[Any]):
    object = Constant("floor_sweep")
    unallowed = serializers.IntegerField(help_text="Prices below their floor that nothing allows.")


class LossOut(serializers.Serializer[Any]):
    object = Constant("loss")
    tenant_id = serializers.CharField()
    price_key = serializers.CharField()
    quantity = Amount()
    net = Amount(help_text="What was charged.")
    due = Amount(help_text="What it would have come to at today's floor.")
    loss = Amount()
    currency = serializers.SerializerMethodField()

    def get_currency(self, row: Loss) -> str:  # noqa: ARG002
        return CURRENCY


class LossesQuery(serializers.Serializer[Any]):
    start_time = UnixTime(required=False, help_text="From this UTC day on.")
    end_time = UnixTime(required=False, help_text="Before this UTC day.")


def render_standing(standing: Standing) -> dict[str, Any]:
    price = standing.price
    fields = (
        "book_id", "tenant_id", "price_key", "meter", "listed", "effective", "floor", "stop",
        "margin", "currency",
    )  # fmt: skip
    row = {name: getattr(price, name) for name in fields}
    return FloorOut({**row, "model": price.base, "permit": standing.permit}).data


def render_policy(terms: FloorTerms) -> dict[str, Any]:
    takes = {name: getattr(terms.takes, name) for name in ("fees", "share", "margin")}
    return PolicyOut({**vars(terms), **takes}).data


def render_finding(row: FloorFinding) -> dict[str, Any]:
    return FloorFindingOut(row).data


def policy_with(sent: dict[str, Any], held: FloorTerms) -> FloorTerms:
    """The terms in force, changed by what was sent. Raises InvalidInput."""
    takes = {
        name: sent.get(name, getattr(held.takes, name)) for name in ("fees", "share", "margin")
    }
    names = ("basis", "planned_utilisation", "days", "months")
    rest = {name: sent.get(name, getattr(held, name)) for name in names}
    return FloorTerms(**rest, takes=Takes(**takes))


class FloorsView(ApiView):
    """Every token price in force beside its floor: of books, and of tenants with their own."""

    @operation(
        "List prices beside their floors",
        tag=TAG,
        needs="costs.read",
        answer=table_of(FloorOut, "FloorList"),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return table(map(render_standing, prices_standing()))


class FloorPolicyView(ApiView):
    @operation("Retrieve the floor policy", tag=TAG, needs="costs.read", answer=PolicyOut)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(render_policy(floor_terms()))

    @operation("Set the floor policy", tag=TAG, needs=WRITE, answer=PolicyOut, body=PolicyIn)
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(PolicyIn)
        reason = sent.pop("reason")
        terms = policy_with(sent, floor_terms())
        floor_policy_set(actor=self.actor, terms=terms, reason=reason)
        return Response(render_policy(terms))


class FloorFindingsView(ApiView):
    @operation(
        "List findings of prices below their floors",
        tag=TAG,
        needs=READ,
        answer=list_of(FloorFindingOut),
        query=FindingsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(FindingsQuery)
        rows = FloorFinding.objects.all()
        rows = rows.filter(state=query["state"]) if "state" in query else rows
        return Response(page(rows, query, render_finding))


class FloorSweepView(ApiView):
    """The daily sweep, now."""

    @operation("Sweep the floors", tag=TAG, needs=WRITE, answer=SweepOut)
    def post(self, request: Request) -> Response:  # noqa: ARG002
        return Response(SweepOut({"unallowed": floors_sweep()}).data)


class LossesView(ApiView):
    """Whole UTC days: the last 30, where none are named."""

    @operation(
        "Losses against today's floors",
        tag=TAG,
        needs="costs.read",
        answer=table_of(LossOut, "LossList"),
        query=LossesQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        since, until = days_of(self.query(LossesQuery))
        return table(iter(LossOut(loss_report(since=since, until=until), many=True).data))
