"""Where everything ends: our books, our rows and Stripe's objects, so that two ends can be compared.

Ids and times differ from run to run and are left out; everything that counts is in.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from tenants.billing.models import CreditNote, Invoice, Payment, Refund
from tenants.billing.stripe.models import StripeCall, StripeFinding, StripeObject, StripeVisit
from tenants.kernel.scope import system_scope
from tenants.ledger.models import CreditGrant, LedgerPosting, Wallet
from tests.tenants.billing.stripe.world import World

End = dict[str, Any]
LISTS = (
    "customers", "payment_intents", "charges", "refunds", "disputes", "invoices",
    "credit_notes", "subscriptions", "transfers", "payouts", "products", "prices", "accounts",
)  # fmt: skip


def end_of(world: World) -> End:
    """Everything that counts, of all tenants."""
    with system_scope():
        return {"books": _books(), "rows": _rows(), "stripe": _stripe(world)}


def _books() -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    rows = LedgerPosting.objects.values_list("account__kind", "account__ref", "currency")
    for kind, ref, currency, amount in rows.annotate(total=Sum("amount")).order_by():
        name = f"{kind} {'' if kind == 'grant' else ref} {currency}"
        sums[name] = sums.get(name, Decimal(0)) + amount
    return {name: amount for name, amount in sorted(sums.items()) if amount}


def _rows() -> dict[str, Any]:
    def counted(rows: Any, *names: str) -> dict[tuple[Any, ...], int]:
        return dict(sorted(Counter(rows.values_list(*names)).items(), key=str))

    return {
        "wallets": counted(Wallet.objects.all(), "currency", "receivable"),
        "grants": counted(
            CreditGrant.objects.exclude(remaining=0), "kind", "remaining", "tax_included"
        ),
        "payments": counted(
            Payment.objects.all(), "provider", "currency", "amount", "refunded", "parts__amount"
        ),
        "refunds": counted(Refund.objects.all(), "amount"),
        "invoices": counted(Invoice.objects.all(), "kind", "state", "due", "paid", "credited"),
        "notes": counted(CreditNote.objects.all(), "to", "total"),
        "visits": counted(StripeVisit.objects.all(), "kind", "state", "amount"),
        "calls": counted(StripeCall.objects.all(), "operation", "state"),
        "objects": counted(StripeObject.objects.all(), "kind", "state", "amount"),
        "findings": counted(StripeFinding.objects.filter(state="open"), "kind"),
    }


def _stripe(world: World) -> dict[str, Any]:
    """Stripe's own objects: nothing may be there twice."""
    found: dict[str, Any] = {}
    for name in LISTS:
        listed = getattr(world.api.v1, name).list({"limit": 100}).auto_paging_iter()
        rows = [one.to_dict() for one in listed]
        found[name] = dict(sorted(Counter(map(_told, rows)).items(), key=str))
    return found


def _told(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(str(row.get(name)) for name in ("status", "amount", "amount_paid", "currency"))
