"""Money on the first page: credit left, spend this month, how the budgets stand."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from saas.budgets import with_use
from saas.console.asking import actor_of, allowed
from saas.console.columns import as_cents
from saas.console.lists.budgets import STATES, state_of
from saas.console.spending import spent_since
from saas.currencies import currency_of
from tenants.kernel.clock import now
from tenants.ledger.models import Budget
from tenants.ledger.selectors import wallet_balance

WORST_FIRST = ("passed", "near", "ample")

Figure = tuple[Any, Any, str]


def money_figures(request: HttpRequest) -> list[Figure]:
    """Label, value and the page behind each, as far as the member may see it."""
    tenant_id = actor_of(request).tenant_id
    sees_wallet, sees_costs = allowed(request, "billing.read"), allowed(request, "costs.read")
    if not (sees_wallet or sees_costs):
        return []
    currency = currency_of(tenant_id)
    found: list[Figure] = []
    if sees_wallet:
        credit = wallet_balance(tenant_id=tenant_id, currency=currency).available
        found.append((_("Credit left"), as_cents(credit.amount, currency), "console:wallet"))
    if sees_costs:
        spent = spent_since(now().date().replace(day=1), currency)
        found.append((_("Spent this month"), as_cents(spent, currency), "console:spend"))
    if sees_wallet and (state := budget_state()):
        found.append((_("Budgets"), STATES[state], "console:ledger_budget_changelist"))
    return found


def budget_state() -> str:
    """The worst state of any budget; empty without one."""
    states = {state_of(row) for row in with_use(Budget.objects.filter(archived_at__isnull=True))}
    return next((state for state in WORST_FIRST if state in states), "")
