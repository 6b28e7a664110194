"""What an invoice of Stripe's is for, and what was paid on it. Pure."""

from __future__ import annotations

from tenants.billing.stripe.objects import Seen

PAID, SUCCEEDED = "paid", "succeeded"


def subscription_of(seen: Seen) -> str:
    """The id of the subscription that an invoice is of, or nothing."""
    parent = seen.part("parent")
    details = parent.part("subscription_details") if parent else None
    return details.id_of("subscription") if details else ""


def intents_of(seen: Seen) -> list[Seen]:
    """The payments of an invoice that have succeeded; what we reported ourselves is none."""
    listed = (seen.data.get("payments") or {}).get("data") or []
    parts = [Seen(row.get("payment") or {}, seen.at) for row in listed if row["status"] == PAID]
    intents = [part.part("payment_intent") for part in parts]
    return [i for i in intents if i is not None and i.data.get("status") == SUCCEEDED]
