"""What partners have on their accounts, in the scope in force."""

from __future__ import annotations

from decimal import Decimal

from django.db.models import Sum

from tenants.kernel.money import Money
from tenants.ledger.chart import AccountKind
from tenants.ledger.models import LedgerPosting

ZERO = Decimal(0)


def partner_balance(tenant_id: str, kind: AccountKind, currency: str) -> Money:
    """What a partner has on one of its accounts, as a liability of ours (above zero: owed)."""
    rows = LedgerPosting.objects.filter(
        tenant_id=tenant_id, account__kind=kind, account__currency=currency
    )
    total = rows.aggregate(total=Sum("amount"))["total"] or ZERO
    return Money(-total, currency)
