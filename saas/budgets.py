"""Budgets with what counts for them in the month under way."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import DecimalField, OuterRef, Subquery
from django.db.models.functions import Coalesce

from tenants.kernel.clock import now
from tenants.ledger.models import BudgetSpend


def with_use(rows: Any) -> Any:
    """Annotate budgets with `spent_now`, `held_now` and their sum, `used`."""
    month = now().date().replace(day=1)
    spends = BudgetSpend.objects.filter(budget=OuterRef("pk"), period=month)
    amount: DecimalField[Any, Any] = DecimalField(max_digits=38, decimal_places=12)

    def part(name: str) -> Any:
        return Coalesce(Subquery(spends.values(name)[:1]), Decimal(0), output_field=amount)

    rows = rows.annotate(spent_now=part("spent"), held_now=part("held"))
    return rows.annotate(used=part("spent") + part("held"))
