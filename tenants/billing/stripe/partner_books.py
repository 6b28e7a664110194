"""Postings on partners' own accounts, beside Stripe's: in the partner's name."""

from __future__ import annotations

from tenants.billing.books import Entry
from tenants.billing.stripe.objects import Owner
from tenants.kernel.money import Money
from tenants.ledger.chart import PARTNERS
from tenants.ledger.services import NewPosting, transaction_post


def partner_post(owner: Owner, *, key: str, currency: str, entries: list[Entry]) -> None:
    """Post once for each key; nothing where nothing moves."""
    if not entries:
        return
    transaction_post(
        tenant_id=owner.tenant_id,
        key=f"stripe:{key}",
        kind="partner_transfer",
        postings=[
            NewPosting(
                kind=entry.kind,
                ref=entry.ref,
                amount=Money(entry.amount, currency),
                tenant_id=owner.tenant_id if entry.kind in PARTNERS else "",
            )
            for entry in entries
        ],
        data={"for": owner.our_id},
    )
