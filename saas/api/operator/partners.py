"""Partners for staff: review of listings, agreements, statements and payouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.acting import acting_for
from saas.api.fields import Currency, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.platform.partner import (
    AgreementOut,
    ListingOut,
    PartnerStatementOut,
    PayoutOut,
    render_listing,
)
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.billing.payouts import PAYERS
from tenants.ledger.chart import RevenueLine
from tenants.marketplace.models import Listing
from tenants.marketplace.selectors import (
    listing_get,
    listings_visible,
    partner_statements_visible,
    payouts_visible,
)
from tenants.marketplace.services.listings import (
    listing_approve,
    listing_check,
    listing_publish,
    listing_refuse,
    listing_suspend,
)
from tenants.marketplace.services.payouts import payout_confirm, payout_order
from tenants.marketplace.states import ListingState
from tenants.partners.selectors import agreements_visible
from tenants.partners.services import agreement_end, agreement_write

TAG = "operator"
READ, WRITE = "billing.read", "billing.write"


class ListingsQuery(PageQuery):
    state = serializers.ChoiceField(ListingState.values, required=False)


class NoteIn(serializers.Serializer[Any]):
    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=500)


class WhyIn(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500)


class AgreementIn(serializers.Serializer[Any]):
    partner = serializers.CharField(max_length=40)
    terms = serializers.DictField(help_text="See docs/partners.md.")
    starts = UnixTime(required=False, allow_null=True, default=None, help_text="Default: now.")
    note = serializers.CharField(required=False, default="", allow_blank=True, max_length=300)


class AgreementEndIn(serializers.Serializer[Any]):
    partner = serializers.CharField(max_length=40)
    ends = UnixTime(required=False, allow_null=True, default=None, help_text="Default: now.")


class PayoutIn(serializers.Serializer[Any]):
    partner = serializers.CharField(max_length=40)
    currency = Currency(required=False, default="USD")
    key = serializers.CharField(max_length=80, help_text="One payout for each, for ever.")
    payer = serializers.ChoiceField(sorted(PAYERS), required=False, default="manual")


class PayoutConfirmIn(serializers.Serializer[Any]):
    reference = serializers.CharField(max_length=120, help_text="The bank's.")


def moved(view: ApiView, service: Callable[..., Listing], listing_id: str, **sent: Any) -> Response:
    listing_get(listing_id)
    return Response(render_listing(service(actor=view.actor, listing_id=listing_id, **sent)))


class OperatorListingsView(ApiView):
    @operation(
        "List listings for review",
        tag=TAG,
        needs=READ,
        answer=list_of(ListingOut),
        query=ListingsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(ListingsQuery)
        rows = listings_visible().prefetch_related("steps")
        rows = rows.filter(state=query["state"]) if "state" in query else rows
        return Response(page(rows, query, render_listing))


class ListingCheckView(ApiView):
    """A worker runs the conformance kit on the wheel, confined: then it is `checked`, `refused`, or
    `submitted` again where it could not be judged here.
    """

    @operation("Check a listing", tag=TAG, needs=WRITE, answer=ListingOut)
    def post(self, request: Request, listing_id: str) -> Response:  # noqa: ARG002
        return moved(self, listing_check, listing_id)


class ListingApproveView(ApiView):
    @operation("Approve a listing", tag=TAG, needs=WRITE, answer=ListingOut, body=NoteIn)
    def post(self, request: Request, listing_id: str) -> Response:  # noqa: ARG002
        return moved(self, listing_approve, listing_id, **self.body(NoteIn))


class ListingPublishView(ApiView):
    """Its prices go into the price books, its services into the catalogue."""

    @operation("Publish a listing", tag=TAG, needs=WRITE, answer=ListingOut, body=NoteIn)
    def post(self, request: Request, listing_id: str) -> Response:  # noqa: ARG002
        return moved(self, listing_publish, listing_id, **self.body(NoteIn))


class ListingSuspendView(ApiView):
    @operation("Suspend a listing", tag=TAG, needs=WRITE, answer=ListingOut, body=WhyIn)
    def post(self, request: Request, listing_id: str) -> Response:  # noqa: ARG002
        return moved(self, listing_suspend, listing_id, **self.body(WhyIn))


class ListingRefuseView(ApiView):
    @operation("Refuse a listing", tag=TAG, needs=WRITE, answer=ListingOut, body=WhyIn)
    def post(self, request: Request, listing_id: str) -> Response:  # noqa: ARG002
        return moved(self, listing_refuse, listing_id, **self.body(WhyIn))


class OperatorAgreementsView(ApiView):
    @operation(
        "List partners' agreements",
        tag=TAG,
        needs=READ,
        answer=list_of(AgreementOut),
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(PageQuery)
        return Response(page(agreements_visible(), query, lambda row: AgreementOut(row).data))

    @operation(
        "Write an agreement",
        tag=TAG,
        needs=WRITE,
        answer=AgreementOut,
        status=201,
        body=AgreementIn,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(AgreementIn)
        row = agreement_write(
            actor=self.actor,
            partner_id=sent.pop("partner"),
            revenues=RevenueLine.values,
            **sent,
        )
        return Response(AgreementOut(row).data, status=201)


class AgreementEndView(ApiView):
    """What is sold from then on is not shared."""

    @operation("End an agreement", tag=TAG, needs=WRITE, answer=AgreementOut, body=AgreementEndIn)
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(AgreementEndIn)
        row = agreement_end(actor=self.actor, partner_id=sent["partner"], ends=sent["ends"])
        return Response(AgreementOut(row).data)


class OperatorPartnerStatementsView(ApiView):
    @operation(
        "List partners' statements",
        tag=TAG,
        needs=READ,
        answer=list_of(PartnerStatementOut),
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        rows, query = partner_statements_visible(), self.query(PageQuery)
        return Response(page(rows, query, lambda row: PartnerStatementOut(row).data))


class OperatorPayoutsView(ApiView):
    @operation("List payouts", tag=TAG, needs=READ, answer=list_of(PayoutOut), query=PageQuery)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        rows, query = payouts_visible(), self.query(PageQuery)
        return Response(page(rows, query, lambda row: PayoutOut(row).data))

    @operation("Pay a partner", tag=TAG, needs=WRITE, answer=PayoutOut, status=201, body=PayoutIn)
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(PayoutIn)
        row = payout_order(actor=acting_for(self.actor, sent.pop("partner")), **sent)
        return Response(PayoutOut(row).data, status=201)


class PayoutConfirmView(ApiView):
    """A bank transfer was made."""

    @operation("Confirm a payout", tag=TAG, needs=WRITE, answer=PayoutOut, body=PayoutConfirmIn)
    def post(self, request: Request, payout_id: str) -> Response:  # noqa: ARG002
        row = payout_confirm(actor=self.actor, payout_id=payout_id, **self.body(PayoutConfirmIn))
        return Response(PayoutOut(row).data)
