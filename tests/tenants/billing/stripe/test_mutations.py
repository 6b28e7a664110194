"""The suite's own checks, each against the code with one thing broken: they must fail.

What is broken here is what would cost money most quietly.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from decimal import Decimal

import pytest
from stripe import WebhookSignature

from tenants.billing.stripe import amounts, webhooks
from tenants.billing.stripe.models import StripeCall, StripeEvent
from tenants.kernel.errors import BreakwaterError
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import wallet_balance
from tests.stripe_server.faults import What
from tests.stripe_server.webhooks import signature
from tests.tenants.accounts.factories import SignedUp
from tests.tenants.billing.stripe.flows import credited, owing, pay_on_page
from tests.tenants.billing.stripe.world import SECRET, World, topped_up

pytestmark = pytest.mark.django_db


def refunded_once(world: World, tenant: SignedUp) -> None:
    """A refund whose answer is lost is made once."""
    bill = owing(tenant, 10_000)
    world.settle()
    pay_on_page(world, bill)
    world.settle()
    world.control.fault(What.LOSE, "POST /v1/refunds", times=2)
    credited(bill, "30")
    world.settle()
    assert len(world.api.v1.refunds.list().data) == 1


def strangers_are_refused(world: World, tenant: SignedUp) -> None:
    """An event that somebody else signed is not kept."""
    del world, tenant
    payload = _event()
    with pytest.raises(BreakwaterError):
        webhooks.event_receive(payload, signature(payload, "whsec_other", int(time.time())))
    assert _kept() == 0


def kept_once(world: World, tenant: SignedUp) -> None:
    """An event that comes twice is one."""
    del world, tenant
    payload = _event()
    for _ in range(2):
        webhooks.event_receive(payload, signature(payload, SECRET, int(time.time())))
    assert _kept() == 1


def exact_in(currency: str, amount: str, whole: int) -> Callable[[World, SignedUp], None]:
    """A top-up in `currency` is charged as what it says, and credited as that."""

    def check(world: World, tenant: SignedUp) -> None:
        topped_up(world, tenant, amount, currency)
        intents = world.api.v1.payment_intents.list().data
        assert [intent.amount for intent in intents] == [whole]
        with system_scope():
            held = wallet_balance(tenant_id=tenant.tenant.id, currency=currency).credit
        assert held.amount == Decimal(amount)

    return check


def _break_key(patch: pytest.MonkeyPatch) -> None:
    """A key that is new with every try."""
    patch.setattr(StripeCall, "idempotency_key", property(lambda _: new_id("key_")))


def _break_signature(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WebhookSignature, "verify_header", lambda *_: True)


def _break_once(patch: pytest.MonkeyPatch) -> None:
    """Each webhook is an event of its own."""
    read = webhooks._read
    patch.setattr(webhooks, "_read", lambda payload: {**read(payload), "id": new_id("evt_")})


def _break_exponent(patch: pytest.MonkeyPatch) -> None:
    """All the world has cents."""
    patch.setattr(amounts, "exponent", lambda _: 2)


BROKEN = {
    "idempotency key": (_break_key, refunded_once),
    "signature": (_break_signature, strangers_are_refused),
    "de-duplication": (_break_once, kept_once),
    "JPY": (_break_exponent, exact_in("JPY", "2500", 2500)),
    "KWD": (_break_exponent, exact_in("KWD", "12.34", 12340)),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_check_passes_with_the_code_as_it_is(what: str, world: World, tenant: SignedUp) -> None:
    BROKEN[what][1](world, tenant)


@pytest.mark.parametrize("what", BROKEN)
def test_the_check_fails_with_it_broken(
    what: str, world: World, tenant: SignedUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, check = BROKEN[what]
    broken(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(world, tenant)


def _event() -> bytes:
    shown = {"id": "cus_1", "object": "customer"}
    told = {"id": "evt_1", "object": "event", "type": "customer.updated", "data": {"object": shown}}
    return json.dumps({**told, "created": 1, "livemode": False}).encode()


def _kept() -> int:
    with system_scope():
        return int(StripeEvent.objects.count())
