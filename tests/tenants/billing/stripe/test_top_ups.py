"""Prepaid credit through Checkout: credited once, from the payment's own state."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.accounts.actors import system_actor
from tenants.billing.models import Invoice, Payment
from tenants.billing.services.tax import NewProfile, tax_profile_set, tax_rate_set
from tenants.billing.stripe.models import StripeVisit
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import wallet_balance
from tests.tenants.accounts.factories import SignedUp
from tests.tenants.billing.stripe.world import (
    World,
    session_of,
    top_up,
    topped_up,
    visit_now,
)

pytestmark = pytest.mark.django_db
State = StripeVisit.State


def credit_of(tenant: SignedUp, currency: str = "USD") -> Decimal:
    with system_scope():
        return wallet_balance(tenant_id=tenant.tenant.id, currency=currency).credit.amount


def test_tax_that_arises_at_top_up_is_paid_on_top(world: World, tenant: SignedUp) -> None:
    with system_scope():
        tax_rate_set(
            actor=system_actor(tenant.tenant.id),
            jurisdiction="DE",
            name="USt",
            rate=Decimal("0.19"),
            valid_from=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        )
        profile = NewProfile(country="DE", tax_point="top_up")
        tax_profile_set(actor=system_actor(tenant.tenant.id), profile=profile)
    visit = topped_up(world, tenant, "25")
    with system_scope():
        paid = Payment.objects.get(pk=visit.payment_id)
        bill = Invoice.objects.get(kind=Invoice.Kind.TOP_UP)
    assert (paid.amount, credit_of(tenant)) == (Decimal("29.75"), 25)
    assert (bill.net, bill.tax, bill.paid) == (25, Decimal("4.75"), Decimal("29.75"))
    assert stripe_reconcile().differences == ()


def test_a_paid_session_becomes_credit(world: World, tenant: SignedUp) -> None:
    visit = top_up(tenant, "25")
    world.settle()
    assert visit_now(visit).state == State.READY
    assert visit_now(visit).url.startswith(f"{world.control.url}/c/pay/")
    assert credit_of(tenant) == 0
    world.control.pay_session(session_of(visit))
    world.settle()
    assert visit_now(visit).state == State.DONE
    assert credit_of(tenant) == 25
