"""Facts about money."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from tenants.kernel.events import Event


@dataclass(frozen=True)
class BudgetPassed(Event, name="budget.passed", aggregate="budget_id"):
    """A budget's soft limit was passed, told once a month. Written by the database with the charge
    that did it (`sql/budgets.sql`), whoever charged.
    """

    budget_id: str
    subject: str  # tenant, api_key, model
    ref: str
    period: str  # the month's first day
    currency: str
    soft: Decimal
    spent: Decimal
