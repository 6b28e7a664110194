"""What Stripe's objects mean to us: the one table from kinds to what is done about their state.

An observer gets an object as it stands and brings our books and rows up to it; it is called for
answers, webhooks and reconciliation alike, in any order and any number of times, in the system's
scope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tenants.billing.stripe.objects import Seen
from tenants.billing.stripe.observers.balance import balance_transaction_observe
from tenants.billing.stripe.observers.checkout import page_observe, session_observe
from tenants.billing.stripe.observers.customers import customer_observe
from tenants.billing.stripe.observers.disputes import dispute_observe
from tenants.billing.stripe.observers.invoices import credit_note_observe, invoice_observe
from tenants.billing.stripe.observers.methods import method_observe
from tenants.billing.stripe.observers.partners import (
    account_observe,
    payout_observe,
    transfer_observe,
)
from tenants.billing.stripe.observers.payments import charge_observe, intent_observe
from tenants.billing.stripe.observers.refunds import refund_observe
from tenants.billing.stripe.observers.subscribed import subscription_observe

Observer = Callable[[Seen], None]

OBSERVERS: Mapping[str, Observer] = {
    "customer": customer_observe,
    "checkout.session": session_observe,
    "payment_intent": intent_observe,
    "charge": charge_observe,
    "billing_portal.session": page_observe,
    "account_link": page_observe,
    "payment_method": method_observe,
    "invoice": invoice_observe,
    "credit_note": credit_note_observe,
    "refund": refund_observe,
    "dispute": dispute_observe,
    "subscription": subscription_observe,
    "account": account_observe,
    "transfer": transfer_observe,
    "payout": payout_observe,
    "balance_transaction": balance_transaction_observe,
}


def observe(seen: Seen) -> bool:
    """Act on an object's state; False where its kind is nothing to us."""
    observer = OBSERVERS.get(seen.kind)
    if observer is None:
        return False
    observer(seen)
    return True
