"""Where everything ends: our books, our rows, Stripe's objects. Two ends can be compared.

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
from tenants.ledger.models import CreditGrant, LedgerPosting, LedgerTransaction, Wallet
from tests.tenants.billing.stripe.world import World

Sums = dict[str, Decimal]
Rows = dict[str, dict[Any, int]]
LISTS = (
    "customers", "payment_intents", "charges", "refunds", "disputes", "invoices",
    "credit_notes", "subscriptions", "transfers", "payouts", "products", "prices", "accounts",
)  # fmt: skip


def books() -> Sums:
    """What stands on every account, all tenants' together."""
    return _summed(LedgerPosting.objects.all)


def books_of(tenant_id: str) -> Sums:
    """What a tenant's own transactions left."""

    def rows() -> Any:
        ids = LedgerTransaction.objects.filter(tenant_id=tenant_id).values_list("id", flat=True)
        return LedgerPosting.objects.filter(transaction_id__in=list(ids))

    return _summed(rows)


def _summed(rows: Any) -> Sums:
    sums: Sums = {}
    with system_scope():
        names = ("account__kind", "account__ref", "currency")
        found = rows().values_list(*names).annotate(total=Sum("amount")).order_by()
        for kind, ref, currency, amount in found:
            name = f"{kind} {'' if kind == 'grant' else ref} {currency}"
            sums[name] = sums.get(name, Decimal(0)) + amount
    return {name: amount for name, amount in sorted(sums.items()) if amount}


def rows_of(tenant_id: str) -> Rows:
    """A tenant's rows, by what they say."""

    def counted(model: Any, *names: str) -> dict[Any, int]:
        rows = model.objects.filter(tenant_id=tenant_id).values_list(*names)
        return dict(sorted(Counter(rows).items(), key=str))

    with system_scope():
        return {
            "wallets": counted(Wallet, "currency", "receivable"),
            "grants": counted(CreditGrant, "kind", "amount", "remaining", "tax_included"),
            "payments": counted(
                Payment, "provider", "currency", "amount", "refunded", "parts__amount"
            ),
            "refunds": counted(Refund, "amount"),
            "invoices": counted(Invoice, "kind", "state", "due", "paid", "credited"),
            "notes": counted(CreditNote, "to", "total"),
            "visits": counted(StripeVisit, "kind", "state", "amount"),
            "calls": counted(StripeCall, "operation", "state"),
            "objects": counted(StripeObject, "kind", "state", "amount"),
            "findings": counted(StripeFinding, "kind", "state"),
        }


def objects_in_stripe(world: World) -> Rows:
    """Stripe's own objects: nothing may be there twice."""
    found = {}
    for name in LISTS:
        listed = getattr(world.api.v1, name).list({"limit": 100}).auto_paging_iter()
        found[name] = dict(sorted(Counter(_told(one.to_dict()) for one in listed).items(), key=str))
    return found


def _told(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(str(row.get(name)) for name in ("status", "amount", "amount_paid", "currency"))


def times(count: int, sums: Sums) -> Sums:
    return {name: amount * count for name, amount in sums.items()}


def rows_times(count: int, rows: Rows) -> Rows:
    return {name: {key: n * count for key, n in found.items()} for name, found in rows.items()}
