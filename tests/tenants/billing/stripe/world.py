"""Stripe as the tests meet it: a server on loopback, or its own test mode; and what moves us on.

`settle` does what relay, workers and web processes do, until nothing is left to be done.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db.models.functions import Now
from stripe import StripeClient

from saas.handlers import HANDLERS
from tenants.billing.models import Payment
from tenants.billing.stripe.client import stripe_client
from tenants.billing.stripe.handling import events_handle
from tenants.billing.stripe.models import StripeCall, StripeEvent, StripeObject, StripeVisit
from tenants.billing.stripe.sending import calls_send
from tenants.billing.stripe.services.visits import card_setup_start, top_up_start
from tenants.billing.stripe.webhooks import event_receive
from tenants.kernel.models import OutboxEvent
from tenants.kernel.money import Money
from tenants.kernel.outbox import HandlerTable, drain
from tenants.kernel.scope import system_scope, tenant_scope
from tests.stripe_server.control import Control
from tests.stripe_server.webhooks import signature
from tests.tenants.accounts.factories import SignedUp, owner_of

SECRET = "whsec_test"
BACK = "/console/billing/"
HINTS = {"stripe.send_call", "stripe.handle_event"}  # to workers: `settle` is the worker
QUEUED, SENT = StripeCall.State.QUEUED, StripeCall.State.SENT
ROUNDS = 20


def _without_hints() -> HandlerTable:
    """Billing's own handlers, from the one table."""
    ours = ("billing.", "stripe.")
    table = {
        kind: tuple(s for s in found if s.name.startswith(ours) and s.name not in HINTS)
        for kind, found in HANDLERS.items()
    }
    return {kind: found for kind, found in table.items() if found}


TABLE = _without_hints()


@dataclass
class World:
    """`shuffle`: how webhooks come; it gets the payloads and returns those that arrive.

    `held`: webhooks that were not answered with 200 yet; Stripe sends them again. `meanwhile`: what
    happens before anything is tried again.
    """

    control: Control
    shuffle: Callable[[list[bytes]], list[bytes]] = field(default=lambda payloads: payloads)
    held: list[bytes] = field(default_factory=list)
    meanwhile: Callable[[], None] = field(default=lambda: None)

    @property
    def api(self) -> StripeClient:
        return stripe_client()

    def deliver(self) -> int:
        """Bring the webhooks that wait; return how many there were."""
        self.held += self.shuffle(self.control.take_events())
        count = len(self.held)
        while self.held:
            receive(self.held[0])
            self.held.pop(0)
        return count

    def settle(self) -> None:
        """Do everything that is due or will be."""
        for _ in range(ROUNDS):
            while drain(TABLE) + calls_send() + self.deliver() + events_handle():
                pass
            self.meanwhile()
            if not make_due():
                return
        raise AssertionError(f"still not settled: {waiting()}")


def receive(payload: bytes, *, secret: str = SECRET, at: int | None = None) -> bool:
    """A webhook comes to the door."""
    moment = int(time.time()) if at is None else at
    return event_receive(payload, signature(payload, secret, moment))


def make_due() -> int:
    """Let the time pass that retries wait for; return how many there are."""
    with system_scope():
        calls = _calls_waiting().update(available_at=Now())
        events = StripeEvent.objects.filter(state=StripeEvent.State.NEW).update(available_at=Now())
        handlers = OutboxEvent.objects.filter(delivered_at__isnull=True).update(available_at=Now())
    return calls + events + handlers


def waiting() -> list[str]:
    with system_scope():
        return [f"{call} {call.state} {call.error}" for call in _calls_waiting()]


def _calls_waiting() -> Any:
    open_calls = StripeCall.objects.filter(state__in=[QUEUED, SENT])
    return open_calls.exclude(after__state__in=[QUEUED, SENT, StripeCall.State.REFUSED])


def visit_now(visit: StripeVisit) -> StripeVisit:
    with system_scope():
        found: StripeVisit = StripeVisit.objects.get(pk=visit.pk)
    return found


def session_of(visit: StripeVisit) -> str:
    """The Checkout session that a visit leads to."""
    with system_scope():
        row = StripeObject.objects.get(kind="checkout.session", our_id=visit.pk)
    return str(row.stripe_id)


def top_up(tenant: SignedUp, amount: str, currency: str = "USD") -> StripeVisit:
    """A member asks for a page to pay on."""
    with tenant_scope(tenant.tenant.id):
        return top_up_start(actor=owner_of(tenant), amount=Money.of(amount, currency), back=BACK)


def topped_up(
    world: World, tenant: SignedUp, amount: str, currency: str = "USD", method: str = "pm_card_visa"
) -> StripeVisit:
    """A top-up from the first click to the last posting."""
    visit = top_up(tenant, amount, currency)
    world.settle()
    world.control.pay_session(session_of(visit), method)
    world.settle()
    return visit_now(visit)


def card_setup(tenant: SignedUp) -> StripeVisit:
    """A member asks for a page to save a payment method on."""
    with tenant_scope(tenant.tenant.id):
        return card_setup_start(actor=owner_of(tenant), currency="USD", back=BACK)


def card_saved(world: World, tenant: SignedUp, method: str = "pm_card_visa") -> StripeVisit:
    """A member saves a payment method on Stripe's page."""
    visit = card_setup(tenant)
    world.settle()
    world.control.pay_session(session_of(visit), method)
    world.settle()
    return visit_now(visit)


def object_id(tenant: SignedUp, kind: str) -> str:
    """Stripe's id of a tenant's latest object of a kind."""
    with system_scope():
        rows = StripeObject.objects.filter(kind=kind, tenant_id=tenant.tenant.id)
        return str(rows.order_by("-id").values_list("stripe_id", flat=True)[0])


def payment_of(tenant: SignedUp) -> Payment:
    """A tenant's latest payment."""
    with system_scope():
        found: Payment = Payment.objects.filter(tenant_id=tenant.tenant.id).latest("created_at")
    return found


@contextmanager
def without_webhooks(world: World) -> Iterator[None]:
    """All webhooks that come meanwhile are lost."""
    before, world.shuffle = world.shuffle, lambda _payloads: []
    try:
        yield
    finally:
        world.shuffle = before


def disordered(chance: random.Random) -> Callable[[list[bytes]], list[bytes]]:
    """30% twice, 5% never, in any order."""

    def shuffle(payloads: list[bytes]) -> list[bytes]:
        arrive = [payload for payload in payloads if chance.random() >= 0.05]
        arrive += [payload for payload in arrive if chance.random() < 0.3]
        chance.shuffle(arrive)
        return arrive

    return shuffle


def event_of(payload: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(payload)
    return found
