"""Refunds: what became of those that we sent."""

from __future__ import annotations

from tenants.billing.models import Refund
from tenants.billing.stripe.findings import finding_open, finding_settled
from tenants.billing.stripe.objects import Owner, Seen, object_see, owner_of
from tenants.billing.stripe.observers.balance import balance_transaction_observe

FAILED = ("failed", "canceled")
KIND = "refund_failed"


def refund_observe(seen: Seen) -> None:
    for name in ("balance_transaction", "failure_balance_transaction"):
        if balance := seen.part(name):
            balance_transaction_observe(balance)
    owner = owner_of(seen)
    if owner is None:
        _foreign(seen)
        return
    object_see(seen, owner, amount=seen.amount("amount"))
    Refund.objects.filter(tenant_id=owner.tenant_id, key=owner.our_id).update(external_id=seen.id)
    if seen.state in FAILED:
        _review(seen, owner)
    else:
        finding_settled(kind=KIND, subject=seen.id)


def _review(seen: Seen, owner: Owner) -> None:
    """The money is back with us, and still the customer's."""
    finding_open(
        kind=KIND,
        subject=seen.id,
        tenant_id=owner.tenant_id,
        evidence={
            "amount": f"{seen.amount('amount'):f} {seen.currency}",
            "why": str(seen.data.get("failure_reason") or seen.data.get("status")),
        },
        action="send the money another way: it was given back in our books, and came back to us",
    )


def _foreign(seen: Seen) -> None:
    finding_open(
        kind="refund_unknown",
        subject=seen.id,
        evidence={"payment_intent": seen.id_of("payment_intent")},
        action="it was made outside of this platform: book it with a credit note or a withdrawal",
    )
