"""Customers: one for each tenant and mode, until somebody deletes it in Stripe."""

from __future__ import annotations

from tenants.billing.stripe.objects import Seen, object_see, owner_of

DELETED = "deleted"


def customer_observe(seen: Seen) -> None:
    owner = owner_of(seen)
    if owner is not None:
        object_see(seen, owner)
