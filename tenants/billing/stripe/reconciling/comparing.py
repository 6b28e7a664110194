"""Comparing what both sides say once everything has been looked at: each difference a finding."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Exists, OuterRef, Q, Subquery, Sum

from tenants.accounts.selectors import platform_tenant
from tenants.billing.models import Invoice, Payment, Refund
from tenants.billing.states import InvoiceState
from tenants.billing.stripe.amounts import of_stripe
from tenants.billing.stripe.client import stripe_client, stripe_mode
from tenants.billing.stripe.fetching import fetch_all
from tenants.billing.stripe.models import StripeCall, StripeEvent, StripeObject
from tenants.billing.stripe.names import STRIPE
from tenants.billing.stripe.objects import object_known
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import AccountKind
from tenants.ledger.models import LedgerPosting

ZERO = Decimal(0)
PATIENCE = dt.timedelta(hours=1)  # for what is still on its way
BALANCES = {
    "pending": AccountKind.PROVIDER_PENDING,
    "available": AccountKind.PROVIDER_AVAILABLE,
}


@dataclass(frozen=True)
class Difference:
    """What a finding will say."""

    kind: str
    subject: str
    action: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    tenant_id: str = ""


def balances_compared() -> Iterator[Difference]:
    """Stripe's balance, by currency, and what stands on our accounts of it."""
    told = stripe_client().v1.balance.retrieve().to_dict()
    for name, kind in BALANCES.items():
        theirs: dict[str, Decimal] = {}
        for part in told.get(name) or []:
            money = of_stripe(part["amount"], part["currency"])
            theirs[money.currency] = theirs.get(money.currency, ZERO) + money.amount
        with system_scope():
            ours = _standing(kind)
        for currency in sorted({*theirs, *ours}):
            if theirs.get(currency, ZERO) != ours.get(currency, ZERO):
                yield Difference(
                    "balance_differs",
                    f"{name} {currency}",
                    "list the balance transactions of the days since the last agreement",
                    {
                        "stripe": f"{theirs.get(currency, ZERO):f}",
                        "ledger": f"{ours.get(currency, ZERO):f}",
                    },
                )


def clearing_compared() -> Iterator[Difference]:
    """The clearing account is zero once each payment has met its balance transaction."""
    with system_scope():
        left = _standing(AccountKind.CASH)
    for currency, amount in sorted(left.items()):
        if amount:
            action = (
                "we booked money that Stripe does not have: find the payment without a charge"
                if amount > 0
                else "Stripe has money that we did not book: find the charge without a payment"
            )
            yield Difference(
                "clearing_differs", currency, action, {"left": f"{amount:f} {currency}"}
            )


def payments_compared(since: dt.datetime) -> Iterator[Difference]:
    """Each succeeded PaymentIntent is one payment of ours, over the same amount, and back."""
    seen: set[str] = set()
    for intent in fetch_all("payment_intent", created={"gte": int(since.timestamp())}):
        if intent.state != "succeeded":
            continue
        seen.add(intent.id)
        received = intent.amount("amount_received")
        with system_scope():
            ours = Payment.objects.filter(provider=STRIPE, external_id=intent.id).first()
            known = object_known(intent.kind, intent.id)
        if known is not None and known.our_id.startswith("metered:"):
            continue
        if ours is None:
            yield Difference(
                "payment_unknown",
                intent.id,
                "find out whose it is: assign it by hand, or refund it in Stripe",
                {"amount": f"{received:f} {intent.currency}", "customer": intent.id_of("customer")},
            )
        elif (ours.amount, ours.currency) != (received, intent.currency):
            yield Difference(
                "payment_amount",
                intent.id,
                "correct ours by a refund or a further payment: Stripe's is what was received",
                {"stripe": f"{received:f} {intent.currency}", "ours": f"{ours.amount:f}"},
                ours.tenant_id,
            )
    yield from _missing(since, seen)


def _missing(since: dt.datetime, seen: set[str]) -> Iterator[Difference]:
    """Payments of this mode that Stripe does not tell of: the other mode's are not asked for."""
    with system_scope():
        known = StripeObject.objects.filter(
            kind="payment_intent", mode=stripe_mode(), stripe_id=OuterRef("external_id")
        )
        rows = list(
            Payment.objects.filter(Exists(known), provider=STRIPE, created_at__gte=since + PATIENCE)
        )
    for row in rows:
        if row.external_id not in seen:
            yield Difference(
                "payment_missing",
                row.external_id,
                "Stripe does not know it (any more) as succeeded: see its state there",
                {"payment": row.id, "amount": f"{row.amount:f} {row.currency}"},
                row.tenant_id,
            )


def invoices_compared() -> list[Difference]:
    """An invoice that is settled on one side is settled on the other."""
    with system_scope():
        return [
            Difference(
                "invoice_state",
                row["stripe_id"],
                "settle it on the side that is behind: pay, void or credit it there",
                {"stripe": row["state"], "ours": row["ours"], "invoice": row["number"]},
                row["tenant_id"],
            )
            for row in _invoices_differing()
        ]


def _invoices_differing() -> Iterator[Mapping[str, Any]]:
    """The latest of Stripe's for each of ours, where one side is settled and the other is not.

    One that we wrote off can still be paid there; a draft there is about to be opened.
    """
    mine = Invoice.objects.filter(id=OuterRef("our_id"))
    same = {name: OuterRef(name) for name in ("tenant_id", "kind", "our_id", "mode")}
    later = StripeObject.objects.filter(**same, id__gt=OuterRef("id"))
    rows = StripeObject.objects.filter(kind="invoice", mode=stripe_mode())
    rows = rows.annotate(
        ours=Subquery(mine.values("state")), number=Subquery(mine.values("number"))
    )
    here = Q(ours__in=[InvoiceState.PAID, InvoiceState.VOID])
    there = Q(state__in=["paid", "void"])
    rows = rows.filter(~Exists(later), (here & ~there) | (there & ~here), ours__isnull=False)
    yield from rows.order_by("id").values("stripe_id", "tenant_id", "state", "ours", "number")


def waiting_compared() -> list[Difference]:
    """Calls, refunds and webhooks that should have been dealt with by now."""
    late = now() - PATIENCE
    with system_scope():
        calls = StripeCall.objects.filter(
            state__in=[StripeCall.State.QUEUED, StripeCall.State.SENT],
            created_at__lt=late,
            mode=stripe_mode(),
        ).exclude(error="")
        events = StripeEvent.objects.filter(state=StripeEvent.State.NEW, received_at__lt=late)
        refunds = Refund.objects.filter(
            payment__provider=STRIPE, external_id__startswith="call_", created_at__lt=late
        )
        return [
            *(
                Difference(
                    "call_stuck",
                    row.id,
                    "see the error; it is tried again by itself",
                    {"operation": row.operation, "error": row.error, "attempts": row.attempts},
                    row.tenant_id,
                )
                for row in calls
            ),
            *(
                Difference(
                    "event_stuck",
                    row.id,
                    "see the error; it is tried again by itself",
                    {"type": row.type, "error": row.error},
                )
                for row in events
            ),
            *(
                Difference(
                    "refund_stuck",
                    row.id,
                    "the refund is booked here and not made in Stripe: see its call",
                    {"call": row.external_id, "amount": f"{row.amount:f}"},
                    row.tenant_id,
                )
                for row in refunds
            ),
        ]


def _standing(kind: AccountKind) -> dict[str, Decimal]:
    """By currency, what stands on one of Stripe's accounts."""
    rows = LedgerPosting.objects.filter(
        tenant_id=platform_tenant().id, account__kind=kind, account__ref=STRIPE
    )
    summed = rows.values_list("currency").annotate(total=Sum("amount")).order_by("currency")
    return dict(summed)
