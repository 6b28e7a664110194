"""Prepaid credit through Checkout: credited once, from the payment's own state."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tenants.billing.stripe.models import StripeVisit
from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import wallet_balance
from tests.tenants.accounts.factories import SignedUp
from tests.tenants.billing.stripe.world import (
    World,
    session_of,
    top_up,
    visit_now,
)

pytestmark = pytest.mark.django_db
State = StripeVisit.State


def credit_of(tenant: SignedUp, currency: str = "USD") -> Decimal:
    with system_scope():
        return wallet_balance(tenant_id=tenant.tenant.id, currency=currency).credit.amount


def test_a_paid_session_becomes_credit(world: World, tenant: SignedUp) -> None:
    visit = top_up(tenant, "25")
    world.settle()
    assert visit_now(visit).state == State.READY
    assert visit_now(visit).url.startswith("https://checkout.stripe.test/")
    assert credit_of(tenant) == 0
    world.control.pay_session(session_of(visit))
    world.settle()
    assert visit_now(visit).state == State.DONE
    assert credit_of(tenant) == 25
