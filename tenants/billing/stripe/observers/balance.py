"""Stripe's balance in our books: each balance transaction once, and once more when available."""

from __future__ import annotations

import datetime as dt

from tenants.accounts.selectors import platform_tenant
from tenants.billing.books import Entry, postings
from tenants.billing.stripe.books import (
    BalanceChange,
    available_entries,
    balance_entries,
    is_known,
)
from tenants.billing.stripe.findings import finding_open
from tenants.billing.stripe.objects import Seen
from tenants.ledger.models import LedgerTransaction
from tenants.ledger.services import transaction_post


def balance_transaction_observe(seen: Seen) -> None:
    change = change_of(seen)
    if not is_known(change.category):
        finding_open(
            kind="balance_category",
            subject=seen.id,
            evidence={"category": change.category, "amount": f"{change.amount:f} {seen.currency}"},
            action="book it by hand from the clearing account: it is of no category that we know",
        )
    stripe_post(seen, key=seen.id, kind="provider_balance", entries=balance_entries(change))
    if seen.data.get("status") == "available":
        entries = available_entries(change)
        stripe_post(seen, key=f"{seen.id}:available", kind="provider_available", entries=entries)


def change_of(seen: Seen) -> BalanceChange:
    return BalanceChange(
        category=str(seen.data.get("reporting_category") or seen.data.get("type")),
        amount=seen.amount("amount"),
        fee=seen.amount("fee"),
        net=seen.amount("net"),
    )


def stripe_posted(key: str) -> bool:
    """Whether `key` was posted before."""
    rows = LedgerTransaction.objects.filter(tenant_id=platform_tenant().id, key=f"stripe:{key}")
    return bool(rows.exists())


def stripe_post(seen: Seen, *, key: str, kind: str, entries: list[Entry]) -> None:
    """Post in the platform's own name, once for each key; nothing where nothing moves."""
    if not entries:
        return
    made = seen.data.get("created")
    transaction_post(
        tenant_id=platform_tenant().id,
        key=f"stripe:{key}",
        kind=kind,
        postings=postings(entries, seen.currency),
        occurred_at=dt.datetime.fromtimestamp(int(made), tz=dt.UTC) if made else None,
        data={"stripe": seen.id},
    )
