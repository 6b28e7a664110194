"""What is paid for resources, and the overheads beside it, for staff."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, Currency, UnixTime
from saas.api.operator.costs import NEEDS, TAG, table, table_of
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.costs.defaults import CURRENCY
from tenants.costs.models import CostOverhead, Rate
from tenants.costs.overheads import WRITE, overhead_end, overhead_set, overheads
from tenants.costs.schedules import Owned, owned_rate
from tenants.costs.services import rate_set
from tenants.kernel.errors import InvalidInput


class RateOut(serializers.Serializer[Rate]):
    object = Constant("cost.rate")
    resource = serializers.CharField(source="resource_id")
    kind = serializers.ChoiceField(Rate.Kind.values)
    amount = Amount(help_text="For one unit of the resource.")
    currency = serializers.CharField()
    valid_from = UnixTime()


class OwnedIn(serializers.Serializer[Any]):
    """A machine of one's own; its rate: amortisation, interest, power, space for a slot-second."""

    price = Amount()
    life_years = Amount()
    slots = serializers.IntegerField()
    resale = Amount(required=False)
    watts = Amount(required=False, help_text="Its mean draw, with cooling.")
    per_kwh = Amount(required=False)
    a_year = Amount(required=False, help_text="Space, network and care.")
    interest = Amount(required=False, help_text="A year, as a share.")


class RateIn(serializers.Serializer[Any]):
    """Give `amount`, or for a machine of one's own `owned`."""

    resource = serializers.CharField(max_length=60)
    kind = serializers.ChoiceField(Rate.Kind.values, required=False)
    amount = Amount(required=False)
    owned = OwnedIn(required=False)
    currency = Currency(required=False, default=CURRENCY)
    valid_from = UnixTime(required=False, help_text="Default: now.")


class OverheadOut(serializers.Serializer[CostOverhead]):
    """A month's `amount` is absorbed over a month's `planned` units of its driver."""

    id = serializers.CharField()
    object = Constant("cost.overhead")
    name = serializers.CharField()
    amount = Amount()
    driver = serializers.ChoiceField(CostOverhead.Driver.values)
    planned = Amount()
    valid_from = serializers.DateField()
    ends = serializers.DateField(allow_null=True)


class OverheadIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=60)
    amount = Amount(help_text="A month.")
    driver = serializers.ChoiceField(
        CostOverhead.Driver.values, help_text="Seconds of work, or jobs' direct cost."
    )
    planned = Amount(help_text="Units of the driver a month.")


def rate_given(sent: dict[str, Any]) -> dict[str, Any]:
    """What `rate_set` is to be told. Raises InvalidInput unless there is an amount or a machine."""
    machine, amount = sent.pop("owned", None), sent.pop("amount", None)
    if (machine is None) == (amount is None):
        raise InvalidInput("give an amount, or owned; not both", param="amount")
    if machine is None:
        return {"kind": Rate.Kind.ON_DEMAND, **sent, "amount": amount}
    if sent.get("kind", Rate.Kind.OWNED) != Rate.Kind.OWNED:
        raise InvalidInput("a machine of one's own has a rate of kind owned", param="kind")
    return {**sent, "kind": Rate.Kind.OWNED, "amount": owned_rate(Owned(**machine))}


class RatesView(ApiView):
    """A rate holds until the next of its kind; the past keeps its price."""

    @operation(
        "List rates of resources", tag=TAG, needs=NEEDS, answer=table_of(RateOut, "RateList")
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        rows = Rate.objects.order_by("resource_id", "kind", "valid_from")
        return table(RateOut(row).data for row in rows)

    @operation(
        "Set a resource's rate", tag=TAG, needs=WRITE, answer=RateOut, status=201, body=RateIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        given = rate_given(dict(self.body(RateIn)))
        rate = rate_set(actor=self.actor, resource_id=given.pop("resource"), **given)
        return Response(RateOut(rate).data, status=201)


class OverheadsView(ApiView):
    """One of a known name takes the place of the former, from today on."""

    @operation("List overheads", tag=TAG, needs=NEEDS, answer=table_of(OverheadOut, "OverheadList"))
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return table(OverheadOut(row).data for row in overheads())

    @operation(
        "Set an overhead", tag=TAG, needs=WRITE, answer=OverheadOut, status=201, body=OverheadIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        row = overhead_set(actor=self.actor, **self.body(OverheadIn))
        return Response(OverheadOut(row).data, status=201)


class OverheadEndView(ApiView):
    @operation("End an overhead", tag=TAG, needs=WRITE, answer=OverheadOut)
    def post(self, request: Request, overhead_id: str) -> Response:  # noqa: ARG002
        return Response(OverheadOut(overhead_end(actor=self.actor, overhead_id=overhead_id)).data)
