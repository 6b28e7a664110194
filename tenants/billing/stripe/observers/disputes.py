"""Disputes: the bank takes a payment back until it has decided; lost, it is gone."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_DOWN, Decimal, localcontext

from tenants.billing.models import Payment, PaymentPart
from tenants.billing.services.shares import shares_disputed, shares_won
from tenants.billing.stripe.books import dispute_lost
from tenants.billing.stripe.findings import finding_open, finding_settled
from tenants.billing.stripe.names import STRIPE
from tenants.billing.stripe.objects import Owner, Seen, object_known, object_see
from tenants.billing.stripe.observers.balance import (
    balance_transaction_observe,
    stripe_post,
    stripe_posted,
)
from tenants.billing.stripe.observers.subscribed import METERED
from tenants.billing.stripe.states import FINAL
from tenants.kernel.money import Money
from tenants.ledger.models import CreditGrant
from tenants.ledger.services import grant_withdraw, wallet_lock

ZERO = Decimal(0)
_POINT = Decimal("0.000000000001")  # the ledger's 12 decimals
LOST = "lost"
UNKNOWN = "dispute_unknown"


def dispute_observe(seen: Seen) -> None:
    for balance in seen.data.get("balance_transactions") or ():
        balance_transaction_observe(Seen(balance, seen.at))
    payment = Payment.objects.filter(
        provider=STRIPE, external_id=seen.id_of("payment_intent")
    ).first()
    if payment is None:
        _without_payment(seen)
        return
    finding_settled(kind=UNKNOWN, subject=seen.id)
    object_see(seen, Owner(payment.tenant_id, payment.id), amount=seen.amount("amount"))
    if not seen.state.startswith("warning"):  # an inquiry: nothing was taken
        shares_disputed(
            tenant_id=payment.tenant_id,
            payment=payment,
            dispute=seen.id,
            amount=seen.amount("amount"),
        )
    if seen.state not in FINAL["dispute"]:
        _ask_for_evidence(seen, payment)
        return
    finding_settled(kind="dispute_open", subject=seen.id)
    if seen.state == LOST:
        _lose(seen, payment)
    else:
        shares_won(tenant_id=payment.tenant_id, payment=payment, dispute=seen.id)


def _lose(seen: Seen, payment: Payment) -> None:
    """Unused credit of the payment goes with it; what was used is our loss. Once."""
    wallet_lock(tenant_id=payment.tenant_id, currency=payment.currency)
    key = f"{seen.id}:lost"
    if stripe_posted(key):
        return
    payment.refresh_from_db()  # a refund may have come between
    amount = seen.amount("amount")
    withdrawn = _withdraw(seen, payment, amount)
    entries = dispute_lost(amount, withdrawn=withdrawn)
    stripe_post(seen, key=key, kind="dispute_lost", entries=entries)
    payment.refunded = min(payment.amount, payment.refunded + amount)
    payment.save(update_fields=["refunded"])
    finding_open(
        kind="dispute_lost",
        subject=seen.id,
        tenant_id=payment.tenant_id,
        evidence={
            "payment": payment.id,
            "amount": f"{amount:f} {payment.currency}",
            "withdrawn": f"{withdrawn:f}",
            "loss": f"{amount - withdrawn:f}",
        },
        action="decide whether this customer may go on, and whether the loss is claimed elsewhere",
    )


def _withdraw(seen: Seen, payment: Payment, amount: Decimal) -> Decimal:
    """Take the disputed money off unused credit; return how much it came to, with its tax."""
    part = PaymentPart.objects.filter(payment=payment).exclude(grant_id="").first()
    grant = CreditGrant.objects.filter(pk=part.grant_id).first() if part else None
    if grant is None:
        return ZERO
    credit = min(grant.remaining - grant.held, _credit_within(grant, amount))
    if credit <= 0:
        return ZERO
    before = _tax_withdrawn(grant)
    grant_withdraw(
        tenant_id=payment.tenant_id,
        key=f"dispute:{seen.id}",
        grant_id=grant.id,
        amount=Money(credit, payment.currency),
        source=STRIPE,
    )
    grant.refresh_from_db()
    return Decimal(credit + _tax_withdrawn(grant) - before)


def _credit_within(grant: CreditGrant, gross: Decimal) -> Decimal:
    """How much of a grant `gross` bought, its tax taken off."""
    return _share(gross, grant.amount, grant.amount + grant.tax)


def _tax_withdrawn(grant: CreditGrant) -> Decimal:
    """As the ledger cuts it: `wallet_tax_within`."""
    return _share(grant.tax, grant.withdrawn, grant.amount)


def _share(amount: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec = 80
        return (amount * part / whole).quantize(_POINT, ROUND_DOWN)


def _ask_for_evidence(seen: Seen, payment: Payment) -> None:
    due = (seen.data.get("evidence_details") or {}).get("due_by")
    until = dt.datetime.fromtimestamp(due, tz=dt.UTC).isoformat() if due else "soon"
    finding_open(
        kind="dispute_open",
        subject=seen.id,
        tenant_id=payment.tenant_id,
        evidence={
            "payment": payment.id,
            "amount": f"{seen.amount('amount'):f} {payment.currency}",
            "reason": str(seen.data.get("reason")),
            "due_by": until,
        },
        action="answer it in Stripe with invoices and usage as evidence, or accept it",
    )


def _without_payment(seen: Seen) -> None:
    """About what Stripe priced and collected itself, whose loss is ours; else none of ours, yet."""
    known = object_known("payment_intent", seen.id_of("payment_intent"))
    sold = known if known and known.our_id.startswith(METERED) else None
    if sold is not None and seen.state in FINAL["dispute"]:
        finding_settled(kind=UNKNOWN, subject=seen.id)
        if seen.state == LOST:
            entries = dispute_lost(seen.amount("amount"), withdrawn=ZERO)
            stripe_post(seen, key=f"{seen.id}:lost", kind="dispute_lost", entries=entries)
        return
    finding_open(
        kind=UNKNOWN,
        subject=seen.id,
        tenant_id=sold.tenant_id if sold else "",
        evidence={"payment_intent": seen.id_of("payment_intent")},
        action="no payment of ours: answer it in Stripe",
    )
