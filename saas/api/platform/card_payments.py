"""Paying by card or bank debit: saved payment methods, and the ways to Stripe's own pages.

A page is opened by the platform, a moment after it was asked for: ask for the visit again until its
`url` is there, and send the person who pays to it.
"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, UnixTime
from saas.api.pagination import listing
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from saas.currencies import currency_of
from tenants.billing.stripe.models import StripeObject, StripeVisit
from tenants.billing.stripe.selectors import methods_of, visit_of
from tenants.billing.stripe.services.visits import card_setup_start, portal_start, top_up_start
from tenants.kernel.money import Money

TAG = "wallet"
READ, WRITE = "billing.read", "billing.write"
BACK = "/console/wallet/"


class BackIn(serializers.Serializer[Any]):
    back = serializers.CharField(
        required=False,
        default=BACK,
        max_length=300,
        help_text="The path of ours that the person comes back to.",
    )


class CardTopUpIn(BackIn):
    amount = Amount(help_text="In the wallet's currency, in whole minor units.")


class VisitOut(serializers.Serializer[StripeVisit]):
    id = serializers.CharField()
    object = Constant("payment_visit")
    kind = serializers.ChoiceField(StripeVisit.Kind.values)
    status = serializers.ChoiceField(StripeVisit.State.values, source="state")
    url = serializers.SerializerMethodField()
    amount = Amount(allow_null=True)
    currency = serializers.CharField()
    payment_id = serializers.CharField(help_text="Once the money has come.")
    error = serializers.CharField()
    created_at = UnixTime()

    def get_url(self, row: StripeVisit) -> str | None:
        """Where the person who pays goes; null until it is known, and once it is over."""
        return row.url or None


class PaymentMethodOut(serializers.Serializer[StripeObject]):
    id = serializers.CharField(source="stripe_id")
    object = Constant("payment_method")
    type = serializers.CharField(source="data.type", default="")
    brand = serializers.CharField(source="data.brand", default="")
    last4 = serializers.CharField(source="data.last4", default="")
    exp_month = serializers.IntegerField(source="data.exp_month", default=None, allow_null=True)
    exp_year = serializers.IntegerField(source="data.exp_year", default=None, allow_null=True)
    default = serializers.SerializerMethodField(method_name="is_charged")

    def is_charged(self, row: StripeObject) -> bool:
        """Whether it is the one that invoices are charged to."""
        return row.state == "default"


def render(row: StripeVisit) -> dict[str, Any]:
    return VisitOut(row).data


class CardTopUpsView(ApiView):
    """Credit that is paid for on a page of Stripe's. It is there once the payment has succeeded."""

    @operation(
        "Top up by card", tag=TAG, needs=WRITE, answer=VisitOut, status=201, body=CardTopUpIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(CardTopUpIn)
        amount = Money(sent["amount"], currency_of(self.actor.tenant_id))
        visit = top_up_start(actor=self.actor, amount=amount, back=sent["back"])
        return Response(render(visit), status=201)


class PaymentMethodsView(ApiView):
    @operation(
        "List saved payment methods",
        tag=TAG,
        needs=READ,
        answer=list_of(PaymentMethodOut),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """All of them, the one that invoices are charged to first."""
        rows = methods_of(self.actor.tenant_id)
        return Response(listing(PaymentMethodOut(row).data for row in rows))

    @operation(
        "Save a payment method", tag=TAG, needs=WRITE, answer=VisitOut, status=201, body=BackIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        """On a page of Stripe's: card numbers never come here."""
        currency = currency_of(self.actor.tenant_id)
        visit = card_setup_start(
            actor=self.actor, currency=currency, back=self.body(BackIn)["back"]
        )
        return Response(render(visit), status=201)


class BillingPortalView(ApiView):
    @operation(
        "Open the billing portal", tag=TAG, needs=WRITE, answer=VisitOut, status=201, body=BackIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        visit = portal_start(actor=self.actor, back=self.body(BackIn)["back"])
        return Response(render(visit), status=201)


class PaymentVisitView(ApiView):
    @operation("Retrieve a visit to a payment page", tag=TAG, needs=READ, answer=VisitOut)
    def get(self, request: Request, visit_id: str) -> Response:  # noqa: ARG002
        return Response(render(visit_of(tenant_id=self.actor.tenant_id, visit_id=visit_id)))
