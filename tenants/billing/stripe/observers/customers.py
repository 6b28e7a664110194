"""Customers: one for each tenant and mode, until somebody deletes it in Stripe,
and its payment methods with it.
"""

from __future__ import annotations

from tenants.billing.stripe.objects import Seen, object_known, object_see, owner_of
from tenants.billing.stripe.observers.methods import CHOSEN, method_choose, methods_detach

DELETED = "deleted"


def customer_observe(seen: Seen) -> None:
    """What a customer chooses in the portal counts as it is chosen, until another one is saved."""
    owner = owner_of(seen)
    if owner is None:
        return
    before = object_known(seen.kind, seen.id)
    settings = seen.part("invoice_settings")
    chosen = settings.id_of("default_payment_method") if settings else ""
    row = object_see(seen, owner, data={CHOSEN: chosen})
    if row.state == DELETED:
        methods_detach(row.tenant_id, customer=row.stripe_id)
    elif row.data[CHOSEN] != (before.data.get(CHOSEN, "") if before else ""):
        method_choose(row.tenant_id, row.data[CHOSEN])
