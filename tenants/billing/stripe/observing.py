"""What Stripe's objects mean to us: the one table from kinds to what is done about their state.

An observer gets an object as it stands and brings our books and rows up to it; it is called for
answers, webhooks and reconciliation alike, in any order and any number of times, in the system's
scope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tenants.billing.stripe.objects import Seen
from tenants.billing.stripe.observers.checkout import session_observe
from tenants.billing.stripe.observers.customers import customer_observe
from tenants.billing.stripe.observers.payments import charge_observe, intent_observe

Observer = Callable[[Seen], None]

OBSERVERS: Mapping[str, Observer] = {
    "customer": customer_observe,
    "checkout.session": session_observe,
    "payment_intent": intent_observe,
    "charge": charge_observe,
}


def observe(seen: Seen) -> bool:
    """Act on an object's state; False where its kind is nothing to us."""
    observer = OBSERVERS.get(seen.kind)
    if observer is None:
        return False
    observer(seen)
    return True
