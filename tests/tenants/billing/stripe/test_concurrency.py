"""Several workers and web processes at once: each call is sent once, each payment counted once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from tenants.billing.models import Payment
from tenants.billing.services.refunds import payment_refund
from tenants.billing.stripe.handling import events_handle
from tenants.billing.stripe.models import StripeCall
from tenants.billing.stripe.observers import disputes
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tenants.billing.stripe.sending import calls_send
from tenants.kernel.money import Money
from tenants.kernel.outbox import drain
from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import wallet_balance
from tenants.ledger.services import wallet_lock
from tests.tenants.accounts.factories import SignedUp, tenant_make
from tests.tenants.billing.factories import operator_of
from tests.tenants.billing.stripe.world import (
    TABLE,
    World,
    object_id,
    payment_of,
    receive,
    session_of,
    top_up,
    topped_up,
)

pytestmark = pytest.mark.django_db
WORKERS, CUSTOMERS = 4, 8


def worked(_: int) -> int:
    """What one worker finds to do."""
    try:
        return calls_send() + events_handle()
    finally:
        connections.close_all()


def received(payload: bytes) -> bool:
    try:
        return receive(payload)
    finally:
        connections.close_all()


def test_many_workers_do_what_one_would(world: World) -> None:
    visits = [top_up(tenant_make(has_credit=False), "25") for _ in range(CUSTOMERS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        while drain(TABLE) + sum(pool.map(worked, range(WORKERS))):
            pass
        for visit in visits:
            world.control.pay_session(session_of(visit))
        payloads = world.control.take_events()
        kept = list(pool.map(received, payloads * 3))
        assert kept.count(True) == len(payloads)
        while drain(TABLE) + sum(pool.map(worked, range(WORKERS))):
            pass
    with system_scope():
        assert Payment.objects.count() == CUSTOMERS
        attempts = set(StripeCall.objects.values_list("attempts", flat=True))
    assert attempts == {1}
    assert len(world.api.v1.customers.list({"limit": 100}).data) == CUSTOMERS
    assert stripe_reconcile().differences == ()


def test_a_refund_while_a_dispute_is_lost_is_not_forgotten(
    world: World, tenant: SignedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dispute has read the payment and waits for the wallet, which the refund holds."""
    visit = topped_up(world, tenant, "25")
    disputed = world.control.open_dispute(object_id(tenant, "charge"), 1500)
    world.settle()

    def after_the_refund(**whose: Any) -> None:
        monkeypatch.undo()
        payment_refund(
            actor=operator_of(tenant.tenant.id),
            payment_id=visit.payment_id,
            amount=Money.of("10", "USD"),
            key="meanwhile",
        )
        wallet_lock(**whose)

    monkeypatch.setattr(disputes, "wallet_lock", after_the_refund)
    world.api.v1.disputes.close(disputed)
    world.settle()
    assert payment_of(tenant).refunded == 25
    with system_scope():
        left = wallet_balance(tenant_id=tenant.tenant.id, currency="USD").credit
    assert left.amount == 0
