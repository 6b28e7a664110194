"""Subscriptions: how each stands, and what its invoices have paid for."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from tenants.billing.models import Invoice, Payment
from tenants.billing.periods import Period
from tenants.billing.states import InvoiceState
from tenants.billing.stripe.amounts import of_stripe
from tenants.billing.stripe.books import metered_sale
from tenants.billing.stripe.objects import Owner, Seen, object_known, object_see, owner_of
from tenants.billing.stripe.observers.balance import stripe_post
from tenants.billing.stripe.observers.intake import payment_take
from tenants.billing.stripe.observers.invoiced import intents_of
from tenants.billing.stripe.services.invoices import invoice_take_back
from tenants.billing.stripe.services.plan_fees import plan_fee_charge

KIND = "subscription"
METERED = "metered:"
ZERO = Decimal(0)
PLAN = "plan"  # how an invoice of a subscription's is known: plan:contract:month


def subscription_observe(seen: Seen) -> None:
    if owner := owner_of(seen):
        object_see(seen, owner)


def subscription_invoice_observe(seen: Seen, subscription: str) -> None:
    """The fee that it paid becomes credit, which the month's fee is charged to at once.

    Where the month's invoice has taken the fee over by now, what was paid is paid on that.
    """
    known = object_known(KIND, subscription)
    if known is None:
        return
    if known.our_id.startswith(METERED):
        _metered(seen, Owner(known.tenant_id, known.our_id))
        return
    period = _period_of(seen)
    owner = Owner(known.tenant_id, f"{PLAN}:{known.our_id}:{period.month:%Y-%m}")
    object_see(
        seen,
        owner,
        amount=seen.amount("amount_due"),
        url=seen.data.get("hosted_invoice_url") or "",
    )
    intents = intents_of(seen)
    taken_over = _invoice_over(known.tenant_id, seen.currency, period)
    for intent in intents:
        payment = payment_take(tenant_id=known.tenant_id, intent=intent, invoice_id=taken_over)
        _collect_no_more(payment)
    if intents:
        plan_fee_charge(tenant_id=known.tenant_id, contract_id=known.our_id, period=period)


def _invoice_over(tenant_id: str, currency: str, period: Period) -> str:
    """The id of our invoice of a month, once it is final."""
    rows = Invoice.objects.filter(
        tenant_id=tenant_id, kind=Invoice.Kind.USAGE, currency=currency, period=period.month
    )
    rows = rows.exclude(state=InvoiceState.DRAFT)
    return rows.values_list("id", flat=True).first() or ""


def _collect_no_more(payment: Payment) -> None:
    """Take back from Stripe an invoice of ours that this has paid, outside of Stripe's own one."""
    paid = payment.parts.filter(invoice__state=InvoiceState.PAID)
    for invoice_id in paid.values_list("invoice_id", flat=True):
        invoice_take_back(tenant_id=payment.tenant_id, invoice_id=str(invoice_id))


def _metered(seen: Seen, owner: Owner) -> None:
    """Stripe rated it and collected it: revenue, with the tax that Stripe took."""
    url = seen.data.get("hosted_invoice_url") or ""
    object_see(seen, owner, amount=seen.amount("amount_due"), url=url)
    taxes = seen.data.get("total_taxes") or []
    tax = of_stripe(sum(int(part["amount"]) for part in taxes), seen.currency).amount
    for number, intent in enumerate(intents_of(seen)):
        received = intent.amount("amount_received")
        object_see(intent, owner, amount=received)
        entries = metered_sale(received, tax=ZERO if number else tax)
        stripe_post(intent, key=f"{intent.id}:metered", kind="metered_sale", entries=entries)


def _period_of(seen: Seen) -> Period:
    """The month that it is for: in which the invoice's latest line begins, else it was made."""
    lines = (seen.data.get("lines") or {}).get("data") or []
    starts = [int((line.get("period") or {}).get("start") or 0) for line in lines]
    at = max([*starts, 0]) or int(seen.data["created"])
    return Period.of(dt.datetime.fromtimestamp(at, tz=dt.UTC))
