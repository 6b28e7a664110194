"""Partners' side: what they submit, sell and earn. Aggregates only: no customer is named, but to
whom a service is delivered.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, Month, UnixTime
from saas.api.pagination import PageQuery, listing, page
from saas.api.parsers import refuse_unstorable
from saas.api.platform.services import OrderOut, OrderReasonIn
from saas.api.platform.services import render as order_shown
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from tenants.kernel.errors import InvalidInput
from tenants.ledger.chart import AccountKind
from tenants.marketplace.models import Listing, ListingStep, Order, PartnerStatement, Payout
from tenants.marketplace.selectors import (
    listing_get,
    listings_visible,
    order_get,
    orders_of,
    partner_balances,
    partner_statements_visible,
    payouts_visible,
)
from tenants.marketplace.services.listings import listing_submit
from tenants.marketplace.services.orders import (
    order_accept,
    order_decline,
    order_deliver,
    order_quote,
)
from tenants.marketplace.states import ListingState, PayoutState
from tenants.partners.models import Agreement
from tenants.partners.selectors import agreements_visible, releases_fared

TAG = "partner"
READ, WRITE = "partner.read", "partner.write"


class ListingStepOut(serializers.Serializer[ListingStep]):
    state = serializers.ChoiceField(ListingState.values)
    reason = serializers.CharField()
    created_at = UnixTime()


class ListingOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("listing")
    plugin = serializers.CharField()
    version = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField()
    state = serializers.ChoiceField(ListingState.values)
    reason = serializers.CharField(help_text="Why it stands where it stands.")
    wheel_sha256 = serializers.CharField()
    wheel_bytes = serializers.IntegerField()
    permissions = serializers.ListField(child=serializers.CharField())
    conformance = serializers.DictField(
        help_text="The report of the platform's own run of the kit; empty until then."
    )
    submitted_report = serializers.DictField(help_text="Its partner's own, as it came.")
    checks_made = serializers.IntegerField(help_text="How far the platform's run is.")
    check_subject = serializers.CharField(help_text="What it looked at last.")
    offers = serializers.DictField(help_text="What the plugin declared when it was checked.")
    steps = ListingStepOut(many=True)
    created_at = UnixTime()


class ListingIn(serializers.Serializer[Any]):
    wheel = serializers.FileField(max_length=200)
    title = serializers.CharField(max_length=120)
    description = serializers.CharField(required=False, default="", max_length=5000)
    conformance = serializers.CharField(
        required=False, default="", help_text="Your own report of `plugin check`, as JSON."
    )


class AgreementOut(serializers.Serializer[Agreement]):
    id = serializers.CharField()
    object = Constant("agreement")
    partner = serializers.CharField(source="tenant_id")
    number = serializers.IntegerField()
    terms = serializers.DictField()
    note = serializers.CharField()
    starts = UnixTime()
    ends = UnixTime(allow_null=True)
    created_at = UnixTime()


class BalanceOut(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="The currency.")
    object = Constant("partner.balance")
    currency = serializers.CharField()
    pending = Amount(help_text="Earned, within the hold period.")
    available = Amount(help_text="May be paid out.")
    on_its_way = Amount(help_text="Paid out, not yet told as arrived.")
    owed = Amount(help_text="Taken back after it was paid out; netted against what you earn.")


class PartnerStatementOut(serializers.Serializer[PartnerStatement]):
    id = serializers.CharField()
    object = Constant("partner.statement")
    month = Month(source="period")
    currency = serializers.CharField()
    sales = Amount(help_text="Net of tax and discounts.")
    share = Amount()
    cost = Amount(help_text="Of compute, that you bear.")
    returns = Amount(help_text="Below zero: refunds and disputes; above: disputes won.")
    minimum = Amount(help_text="Topped up to the agreed minimum.")
    lines = serializers.ListField(child=serializers.DictField())
    created_at = UnixTime()


class PayoutOut(serializers.Serializer[Payout]):
    id = serializers.CharField()
    object = Constant("partner.payout")
    amount = Amount()
    currency = serializers.CharField()
    payer = serializers.CharField()
    state = serializers.ChoiceField(PayoutState.values)
    reference = serializers.CharField()
    created_at = UnixTime()
    paid_at = UnixTime(allow_null=True)


class FaredOut(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="Plugin and version.")
    object = Constant("partner.plugin")
    plugin = serializers.CharField()
    version = serializers.CharField()
    installs = serializers.IntegerField()
    calls = serializers.IntegerField(help_text="In the last 30 days.")
    failures = serializers.DictField(child=serializers.IntegerField(), help_text="By kind.")


class SoldOrderOut(OrderOut):
    customer = serializers.CharField(help_text="To whom it is delivered.")


class OrderQuoteIn(serializers.Serializer[Any]):
    price = Amount()


class DeliverIn(serializers.Serializer[Any]):
    quantity = Amount(required=False, default=Decimal(0))
    milestone = serializers.IntegerField(required=False, allow_null=True, default=None)
    note = serializers.CharField(max_length=2000)


def render_listing(row: Listing) -> dict[str, Any]:
    names = (
        "id", "plugin", "version", "title", "description", "state", "reason", "wheel_sha256",
        "wheel_bytes", "conformance", "submitted_report", "checks_made", "check_subject", "offers",
        "created_at",
    )  # fmt: skip
    answer: dict[str, Any] = ListingOut(
        {
            **{name: getattr(row, name) for name in names},
            "permissions": row.manifest.get("permissions", []),
            "steps": sorted(row.steps.all(), key=lambda step: step.id),
        }
    ).data
    return answer


def render_sold(order: Order) -> dict[str, Any]:
    return {**order_shown(order), "customer": order.customer_name}


def moved(view: ApiView, service: Callable[..., Order], order_id: str, **sent: Any) -> Response:
    order_get(order_id, view.actor.tenant_id, selling=True)
    return Response(render_sold(service(actor=view.actor, order_id=order_id, **sent)))


class PartnerListingsView(ApiView):
    parser_classes = (MultiPartParser,)

    @operation("List listings", tag=TAG, needs=READ, answer=list_of(ListingOut), query=PageQuery)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        rows = listings_visible().prefetch_related("steps")
        return Response(page(rows, self.query(PageQuery), render_listing))

    @operation(
        "Submit a plugin",
        tag=TAG,
        needs=WRITE,
        answer=ListingOut,
        status=201,
        body=ListingIn,
        multipart=True,
    )
    def post(self, request: Request) -> Response:
        sent = self.body(ListingIn, request.POST.dict() | request.FILES.dict())
        upload = sent["wheel"]
        row = listing_submit(
            actor=self.actor,
            wheel_name=upload.name,
            content=upload.read(),
            title=sent["title"],
            description=sent["description"],
            conformance=report_of(sent["conformance"]),
        )
        return Response(render_listing(row), status=201)


def report_of(text: str) -> dict[str, Any] | None:
    """Raises InvalidInput for what is no JSON object."""
    if not text:
        return None
    try:
        found = json.loads(text)
        refuse_unstorable(found, "conformance")
    except (ValueError, RecursionError, ParseError) as error:
        raise InvalidInput(
            f"conformance is the report's JSON: {error}"[:300], param="conformance"
        ) from error
    if not isinstance(found, dict):
        raise InvalidInput("conformance is the report's JSON object", param="conformance")
    return found


class PartnerListingView(ApiView):
    @operation("Retrieve a listing", tag=TAG, needs=READ, answer=ListingOut)
    def get(self, request: Request, listing_id: str) -> Response:  # noqa: ARG002
        return Response(render_listing(listing_get(listing_id)))


class PartnerAgreementsView(ApiView):
    @operation(
        "List agreements", tag=TAG, needs=READ, answer=list_of(AgreementOut), query=PageQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        rows = agreements_visible()
        return Response(page(rows, self.query(PageQuery), lambda row: AgreementOut(row).data))


class PartnerBalanceView(ApiView):
    @operation("List a partner's balances", tag=TAG, needs=READ, answer=list_of(BalanceOut))
    def get(self, request: Request) -> Response:  # noqa: ARG002
        found = partner_balances(self.actor.tenant_id)
        return Response(listing(render_balance(currency, of) for currency, of in found.items()))


def render_balance(currency: str, of: dict[AccountKind, Decimal]) -> dict[str, Any]:
    zero = Decimal(0)
    answer: dict[str, Any] = BalanceOut(
        {
            "id": currency,
            "currency": currency,
            "pending": of.get(AccountKind.PARTNER_PENDING, zero),
            "available": of.get(AccountKind.PARTNER_AVAILABLE, zero),
            "on_its_way": of.get(AccountKind.PARTNER_PAID, zero),
            "owed": -of.get(AccountKind.PARTNER_RECEIVABLE, zero),
        }
    ).data
    return answer


class PartnerStatementsView(ApiView):
    @operation(
        "List a partner's statements",
        tag=TAG,
        needs=READ,
        answer=list_of(PartnerStatementOut),
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        rows = partner_statements_visible()
        query = self.query(PageQuery)
        return Response(page(rows, query, lambda row: PartnerStatementOut(row).data))


class PartnerPayoutsView(ApiView):
    @operation(
        "List a partner's payouts", tag=TAG, needs=READ, answer=list_of(PayoutOut), query=PageQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        rows = payouts_visible()
        return Response(page(rows, self.query(PageQuery), lambda row: PayoutOut(row).data))


class PartnerPluginsView(ApiView):
    """Installs, calls and failures of the last 30 days, over all customers."""

    @operation("List how plugins fare", tag=TAG, needs=READ, answer=list_of(FaredOut))
    def get(self, request: Request) -> Response:  # noqa: ARG002
        found = releases_fared(self.actor.tenant_id)
        return Response(
            listing(
                FaredOut({**each.__dict__, "id": f"{each.plugin} {each.version}"}).data
                for each in found
            )
        )


class PartnerOrdersView(ApiView):
    @operation(
        "List orders to deliver", tag=TAG, needs=READ, answer=list_of(SoldOrderOut), query=PageQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        rows = orders_of(self.actor.tenant_id, selling=True)
        return Response(page(rows, self.query(PageQuery), render_sold))


class PartnerOrderQuoteView(ApiView):
    @operation("Quote an order", tag=TAG, needs=WRITE, answer=SoldOrderOut, body=OrderQuoteIn)
    def post(self, request: Request, sold_order_id: str) -> Response:  # noqa: ARG002
        return moved(self, order_quote, sold_order_id, **self.body(OrderQuoteIn))


class PartnerOrderAcceptView(ApiView):
    @operation("Accept an order", tag=TAG, needs=WRITE, answer=SoldOrderOut)
    def post(self, request: Request, sold_order_id: str) -> Response:  # noqa: ARG002
        return moved(self, order_accept, sold_order_id)


class PartnerOrderDeclineView(ApiView):
    @operation("Decline an order", tag=TAG, needs=WRITE, answer=SoldOrderOut, body=OrderReasonIn)
    def post(self, request: Request, sold_order_id: str) -> Response:  # noqa: ARG002
        return moved(self, order_decline, sold_order_id, **self.body(OrderReasonIn))


class PartnerOrderDeliverView(ApiView):
    @operation("Deliver an order", tag=TAG, needs=WRITE, answer=SoldOrderOut, body=DeliverIn)
    def post(self, request: Request, sold_order_id: str) -> Response:  # noqa: ARG002
        return moved(self, order_deliver, sold_order_id, **self.body(DeliverIn))
