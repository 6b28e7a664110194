"""Partners' side: connected accounts, transfers to them, and our own payouts to our bank."""

from __future__ import annotations

from tenants.billing.stripe.amounts import of_stripe
from tenants.billing.stripe.books import payout_arrived, transfer_sent, transfer_taken_back
from tenants.billing.stripe.findings import finding_open, finding_settled
from tenants.billing.stripe.objects import Seen, object_see, owner_of
from tenants.billing.stripe.observers.balance import balance_transaction_observe, stripe_post
from tenants.billing.stripe.partner_books import partner_post


def account_observe(seen: Seen) -> None:
    """`active` once Stripe lets money through; else what it still wants to know."""
    owner = owner_of(seen)
    if owner is None:
        return
    wanted = (seen.data.get("requirements") or {}).get("currently_due") or []
    data = {"wanted": list(wanted), "payouts": bool(seen.data.get("payouts_enabled"))}
    object_see(seen, owner, data=data)


def transfer_observe(seen: Seen) -> None:
    """What has left for a partner, and what of it was taken back."""
    if balance := seen.part("balance_transaction"):
        balance_transaction_observe(balance)
    owner = owner_of(seen)
    if owner is None:
        return
    amount = seen.amount("amount")
    data = {"reversed": seen.data.get("amount_reversed") or 0}
    object_see(seen, owner, amount=amount, data=data)
    currency = seen.currency
    partner_post(owner, key=f"{seen.id}:sent", currency=currency, entries=transfer_sent(amount))
    for reversal in (seen.data.get("reversals") or {}).get("data") or []:
        taken = transfer_taken_back(of_stripe(reversal["amount"], currency).amount)
        partner_post(owner, key=f"{reversal['id']}:back", currency=currency, entries=taken)


def payout_observe(seen: Seen) -> None:
    """Our own money on its way to our bank."""
    for name in ("balance_transaction", "failure_balance_transaction"):
        if balance := seen.part(name):
            balance_transaction_observe(balance)
    status = seen.data.get("status")
    if status == "paid":
        entries = payout_arrived(seen.amount("amount"))
        stripe_post(seen, key=f"{seen.id}:arrived", kind="payout", entries=entries)
        finding_settled(kind="payout_failed", subject=seen.id)
    elif status == "failed":
        finding_open(
            kind="payout_failed",
            subject=seen.id,
            evidence={
                "amount": f"{seen.amount('amount'):f} {seen.currency}",
                "why": str(seen.data.get("failure_message") or seen.data.get("failure_code")),
            },
            action="mend the bank account in Stripe: the money is back in its balance",
        )
