"""A tenant as Stripe's customer. System scope."""

from __future__ import annotations

from tenants.billing.operators import system_only
from tenants.billing.selectors.parties import customer
from tenants.billing.selectors.tax import tax_profile
from tenants.billing.stripe.calls import attempt_key, call_queue
from tenants.billing.stripe.client import stripe_mode
from tenants.billing.stripe.models import StripeCall, StripeObject
from tenants.billing.stripe.observers.customers import DELETED


def customer_ensure(*, tenant_id: str) -> StripeCall:
    """The call that makes a tenant's customer: the first one, or after a deletion the next.

    Where Stripe refused one, it is asked again.
    """
    system_only()
    gone = StripeObject.objects.filter(
        tenant_id=tenant_id, kind="customer", mode=stripe_mode(), state=DELETED
    ).count()
    party = customer(tax_profile(tenant_id))
    params = {"name": party["name"], "preferred_locales": [party["language"] or "en"]}
    key = attempt_key(tenant_id, "customer.create", f"customer:{gone + 1}")
    return call_queue(tenant_id=tenant_id, operation="customer.create", key=key, params=params)
