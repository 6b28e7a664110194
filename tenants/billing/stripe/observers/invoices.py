"""Invoices in Stripe: what was paid on one there is paid here; credit notes that ours became."""

from __future__ import annotations

from tenants.billing.stripe.objects import Owner, Seen, object_see, owner_of
from tenants.billing.stripe.observers.intake import payment_take
from tenants.billing.stripe.observers.invoiced import intents_of, subscription_of
from tenants.billing.stripe.observers.subscribed import subscription_invoice_observe


def invoice_observe(seen: Seen) -> None:
    """Each payment that succeeded, in whatever order and however many there are, counts once."""
    if subscription := subscription_of(seen):
        subscription_invoice_observe(seen, subscription)
        return
    owner = owner_of(seen)
    if owner is None:
        return
    invoice_id = owner.our_id.partition(":")[0]
    object_see(
        seen,
        Owner(owner.tenant_id, invoice_id),
        amount=seen.amount("amount_due"),
        url=seen.data.get("hosted_invoice_url") or "",
    )
    for intent in intents_of(seen):
        payment_take(tenant_id=owner.tenant_id, intent=intent, invoice_id=invoice_id)


def credit_note_observe(seen: Seen) -> None:
    if owner := owner_of(seen):
        object_see(seen, owner, amount=seen.amount("amount"))
