"""What compute can be bought ahead, for staff: entered, read from CSV, withdrawn."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, Currency, UnixTime
from saas.api.operator.costs import NEEDS, TAG, table, table_of
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.costs.defaults import CURRENCY
from tenants.costs.models import PurchaseOffer
from tenants.costs.purchase_offers import (
    WRITE,
    NewOffer,
    offer_withdraw,
    offers_open,
    offers_read,
    offers_set,
)

LARGEST_FILE = 1_000_000  # characters


class PurchaseOfferOut(serializers.Serializer[PurchaseOffer]):
    """Money is for one unit."""

    id = serializers.CharField()
    object = Constant("procurement.offer")
    name = serializers.CharField()
    resource = serializers.CharField(source="resource_id")
    kind = serializers.ChoiceField(PurchaseOffer.Kind.values)
    kinds = serializers.ListField(
        child=serializers.CharField(), help_text="Of work that it can do; none: any."
    )
    months = serializers.IntegerField(help_text="The term.")
    capacity = Amount(help_text="Slot-hours a month.")
    upfront = Amount()
    monthly = Amount()
    currency = serializers.CharField()
    available = serializers.IntegerField(help_text="Units a month.")
    until = serializers.DateField(allow_null=True, help_text="The last day it can be bought.")
    created_at = UnixTime()
    withdrawn_at = UnixTime(allow_null=True)


class OfferIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=60)
    resource = serializers.CharField(max_length=60, help_text="Such as worker.gpu.")
    kind = serializers.ChoiceField(PurchaseOffer.Kind.values, required=False, default="reserved")
    kinds = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, default=list, max_length=20
    )
    months = serializers.IntegerField(help_text="The term; of a machine of one's own, its life.")
    capacity = Amount(help_text="Slot-hours a month of one unit.")
    upfront = Amount(required=False, default=Decimal(0))
    monthly = Amount(required=False, default=Decimal(0))
    currency = Currency(required=False, default=CURRENCY)
    available = serializers.IntegerField(required=False, default=100, help_text="Units a month.")
    until = serializers.DateField(required=False, allow_null=True, default=None)


class OffersIn(serializers.Serializer[Any]):
    offers = OfferIn(many=True)


class OffersFileIn(serializers.Serializer[Any]):
    content = serializers.CharField(
        max_length=LARGEST_FILE, trim_whitespace=False, help_text="CSV; see docs/costs.md."
    )


def render_offer(row: PurchaseOffer) -> dict[str, Any]:
    return PurchaseOfferOut(row).data


class PurchaseOffersView(ApiView):
    """One of a known name takes the place of what it says; the same again changes nothing."""

    @operation(
        "List what compute can be bought", tag=TAG, needs=NEEDS, answer=list_of(PurchaseOfferOut),
        query=PageQuery,
    )  # fmt: skip
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(offers_open(), self.query(PageQuery), render_offer))

    @operation(
        "Say what compute can be bought",
        tag=TAG,
        needs=WRITE,
        answer=table_of(PurchaseOfferOut, "PurchaseOffersSet"),
        status=201,
        body=OffersIn,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(OffersIn)["offers"]
        offers = [NewOffer(**{**one, "kinds": tuple(one["kinds"])}) for one in sent]
        rows = offers_set(actor=self.actor, offers=offers)
        answer = table(render_offer(row) for row in rows)
        answer.status_code = 201
        return answer


class PurchaseOffersImportView(ApiView):
    @operation(
        "Import what compute can be bought",
        tag=TAG,
        needs=WRITE,
        answer=table_of(PurchaseOfferOut, "PurchaseOffersRead"),
        status=201,
        body=OffersFileIn,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        offers = offers_read(self.body(OffersFileIn)["content"])
        answer = table(render_offer(row) for row in offers_set(actor=self.actor, offers=offers))
        answer.status_code = 201
        return answer


class PurchaseOfferWithdrawView(ApiView):
    @operation("Withdraw an offer of compute", tag=TAG, needs=WRITE, answer=PurchaseOfferOut)
    def post(self, request: Request, offer_id: str) -> Response:  # noqa: ARG002
        return Response(render_offer(offer_withdraw(actor=self.actor, offer_id=offer_id)))
