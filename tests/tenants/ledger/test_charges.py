"""Charges: who pays, in which order, and what the books say then."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.chart import GrantKind
from tenants.ledger.selectors import unbalanced
from tests.tenants.ledger.factories import (
    balance_of,
    charge_make,
    customer_make,
    grant_make,
    hold_make,
    usd,
)

pytestmark = pytest.mark.django_db


def books_agree() -> None:
    with system_scope():
        assert unbalanced() == []
        assert projections_wrong() == []


def test_credit_is_used_in_the_order_allowance_promotion_paid_then_owed() -> None:
    tenant_id = customer_make(tax_rate="0.2")
    grant_make(tenant_id, "12", GrantKind.PAID)
    grant_make(tenant_id, "3", GrantKind.PROMOTION)
    grant_make(tenant_id, "2", GrantKind.ALLOWANCE)
    outcome = charge_make(tenant_id, "20")
    assert (outcome.allowance, outcome.promotion, outcome.paid) == (2, 3, 12)
    assert outcome.postpaid == 6
    assert outcome.tax == 3
    assert balance_of(tenant_id).owed == usd(6)
    books_agree()


def test_a_hold_is_drawn_first_and_the_rest_goes_back() -> None:
    tenant_id = customer_make()
    grant_make(tenant_id, "10")
    key = hold_make(tenant_id, "6")
    assert balance_of(tenant_id).available.amount == 4
    books_agree()
    outcome = charge_make(tenant_id, "2.5", hold_key=key)
    assert outcome.paid == Decimal("2.5")
    assert balance_of(tenant_id).available.amount == Decimal("7.5")
    assert balance_of(tenant_id).held.amount == 0
    books_agree()
    charge_make(tenant_id, "-1.5")
    assert balance_of(tenant_id).available.amount == 9
    books_agree()
