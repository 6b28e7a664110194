"""Who is told when Stripe refuses a call for good."""

from __future__ import annotations

from django.db.models.functions import Now
from stripe import InvalidRequestError

from tenants.billing.stripe.models import StripeCall, StripeObject, StripeVisit
from tenants.billing.stripe.observers.customers import DELETED

VISITS = ("checkout.create", "portal.create")


def call_refused(call: StripeCall, error: InvalidRequestError | None, said: str) -> None:
    """A visit fails; a customer that is gone is remembered, so that the next call makes another."""
    if call.operation in VISITS:
        StripeVisit.objects.filter(pk=call.key, state=StripeVisit.State.ASKED).update(
            state=StripeVisit.State.FAILED, error=said[:300]
        )
    if error is not None and _customer_is_gone(error):
        StripeObject.objects.filter(
            tenant_id=call.tenant_id, kind="customer", mode=call.mode
        ).exclude(state=DELETED).update(state=DELETED, seen_at=Now())


def _customer_is_gone(error: InvalidRequestError) -> bool:
    return error.code == "resource_missing" and error.param == "customer"
