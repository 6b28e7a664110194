"""Who is told when Stripe refuses a call for good."""

from __future__ import annotations

from django.db.models.functions import Now
from stripe import InvalidRequestError

from tenants.billing.stripe.amounts import of_stripe
from tenants.billing.stripe.books import transfer_refused
from tenants.billing.stripe.calls import params_of
from tenants.billing.stripe.models import StripeCall, StripeObject, StripeVisit
from tenants.billing.stripe.objects import Owner
from tenants.billing.stripe.observers.customers import DELETED
from tenants.billing.stripe.observers.methods import methods_detach
from tenants.billing.stripe.partner_books import partner_post

VISITS = ("checkout.create", "portal.create", "account_link.create")
METHODS = ("default_payment_method", "payment_method")


def call_refused(call: StripeCall, error: InvalidRequestError | None, said: str) -> None:
    """A visit fails, a payout may be made again; what is gone is asked for no more."""
    if call.operation in VISITS:
        StripeVisit.objects.filter(pk=call.key, state=StripeVisit.State.ASKED).update(
            state=StripeVisit.State.FAILED, error=said[:300]
        )
    if call.operation == "transfer.create":
        _give_back(call)
    if error is not None and error.code == "resource_missing":
        _remember_gone(call, error.param)


def _remember_gone(call: StripeCall, param: str | None) -> None:
    """Stripe knows the customer, or the payment method, no more: its webhook was lost, or is late.

    Only the one that was named: another may have taken its place meanwhile.
    """
    named = str(params_of(call).get(param or "", ""))
    if param == "customer":
        rows = StripeObject.objects.filter(
            tenant_id=call.tenant_id, kind="customer", stripe_id=named
        )
        rows.exclude(state=DELETED).update(state=DELETED, seen_at=Now())
        methods_detach(call.tenant_id, customer=named)
    elif param in METHODS:
        methods_detach(call.tenant_id, method=named)


def _give_back(call: StripeCall) -> None:
    """What was on its way to a partner may be paid again."""
    money = of_stripe(int(call.params["amount"]), call.params["currency"])
    partner_post(
        Owner(call.tenant_id, call.key),
        key=f"{call.id}:refused",
        currency=money.currency,
        entries=transfer_refused(money.amount),
    )
