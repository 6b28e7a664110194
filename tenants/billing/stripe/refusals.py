"""Who is told when Stripe refuses a call for good."""

from __future__ import annotations

from django.db.models.functions import Now
from stripe import InvalidRequestError

from tenants.billing.stripe.amounts import of_stripe
from tenants.billing.stripe.books import transfer_refused
from tenants.billing.stripe.models import StripeCall, StripeObject, StripeVisit
from tenants.billing.stripe.objects import Owner
from tenants.billing.stripe.observers.customers import DELETED
from tenants.billing.stripe.partner_books import partner_post

VISITS = ("checkout.create", "portal.create", "account_link.create")


def call_refused(call: StripeCall, error: InvalidRequestError | None, said: str) -> None:
    """A visit fails; a customer that is gone is remembered, so that the next call makes another."""
    if call.operation in VISITS:
        StripeVisit.objects.filter(pk=call.key, state=StripeVisit.State.ASKED).update(
            state=StripeVisit.State.FAILED, error=said[:300]
        )
    if call.operation == "transfer.create":
        _give_back(call)
    if error is not None and _customer_is_gone(error):
        StripeObject.objects.filter(
            tenant_id=call.tenant_id, kind="customer", mode=call.mode
        ).exclude(state=DELETED).update(state=DELETED, seen_at=Now())


def _give_back(call: StripeCall) -> None:
    """What was on its way to a partner may be paid again."""
    money = of_stripe(int(call.params["amount"]), call.params["currency"])
    partner_post(
        Owner(call.tenant_id, call.key),
        key=f"{call.id}:refused",
        currency=money.currency,
        entries=transfer_refused(money.amount),
    )


def _customer_is_gone(error: InvalidRequestError) -> bool:
    return error.code == "resource_missing" and error.param == "customer"
