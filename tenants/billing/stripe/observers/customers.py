"""Customers: one for each tenant and mode, until somebody deletes it in Stripe,
and its payment methods with it.
"""

from __future__ import annotations

from tenants.billing.stripe.objects import Seen, object_see, owner_of
from tenants.billing.stripe.observers.methods import methods_detach

DELETED = "deleted"


def customer_observe(seen: Seen) -> None:
    owner = owner_of(seen)
    if owner is not None:
        row = object_see(seen, owner)
        if row.state == DELETED:
            methods_detach(row.tenant_id, customer=row.stripe_id)
