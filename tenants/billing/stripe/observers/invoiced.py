"""What was paid on an invoice of Stripe's. Pure."""

from __future__ import annotations

from tenants.billing.stripe.objects import Seen

PAID, SUCCEEDED = "paid", "succeeded"


def intents_of(seen: Seen) -> list[Seen]:
    """The payments of an invoice that have succeeded; what we reported ourselves is none."""
    listed = (seen.data.get("payments") or {}).get("data") or []
    parts = [Seen(row.get("payment") or {}, seen.at) for row in listed if row["status"] == PAID]
    intents = [part.part("payment_intent") for part in parts]
    return [i for i in intents if i is not None and i.data.get("status") == SUCCEEDED]
