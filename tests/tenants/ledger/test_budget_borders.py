"""Budgets where a month begins: work that is under way will be charged in it."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connections

from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger import services
from tenants.ledger.audit import projections_wrong
from tenants.ledger.errors import BudgetExceeded
from tenants.ledger.models import Budget
from tests.tenants.ledger.factories import charge_make, customer_make, grant_make, hold_make
from tests.tenants.ledger.test_budgets import MINE, OTHER, budget_make

pytestmark = pytest.mark.django_db


def held_since_last_month(amount: str, **fields: object) -> str:
    """A customer with a budget of 10, and a hold that was placed last month."""
    tenant_id = customer_make()
    grant_make(tenant_id, "100")
    hold_make(tenant_id, amount, key="old", **fields)
    last_month = (now().replace(day=1) - dt.timedelta(days=1)).date().replace(day=1)
    with connections["owner"].cursor() as cursor:
        cursor.execute("UPDATE hold SET period = %s", [last_month])
    return tenant_id


def test_what_is_held_since_last_month_counts_in_this_ones_budget() -> None:
    tenant_id = held_since_last_month("8")
    budget_make(tenant_id, hard="10")
    # when new work would need what the old work may still cost
    with pytest.raises(BudgetExceeded) as raised:
        hold_make(tenant_id, "3")
    assert "8" in str(raised.value)
    # then what is left can be had to the last bit, and all together stays within the budget
    hold_make(tenant_id, "2", key="new")
    charge_make(tenant_id, "8", hold_key="old")
    charge_make(tenant_id, "2", hold_key="new")
    with system_scope():
        assert Budget.objects.get().spends.get(period=now().date().replace(day=1)).spent == 10
        assert projections_wrong() == []


def test_work_whose_cost_comes_later_is_refused_beside_it_too() -> None:
    tenant_id = held_since_last_month("10")
    budget_make(tenant_id, hard="10")
    with tenant_scope(tenant_id), pytest.raises(BudgetExceeded):
        services.credit_require(tenant_id=tenant_id, currency="USD")


def test_only_what_the_budget_is_for_counts() -> None:
    tenant_id = held_since_last_month("8", labels=OTHER)
    budget_make(tenant_id, Budget.Subject.MODEL, "mini", hard="10")
    hold_make(tenant_id, "10", labels=MINE)
    with system_scope():
        assert projections_wrong() == []
