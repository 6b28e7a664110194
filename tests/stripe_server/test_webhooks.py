"""Webhooks: endpoints, holding them back, and bringing them badly."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from stripe import Event, SignatureVerificationError, StripeClient, Webhook

from tests.stripe_server.control import Control
from tests.stripe_server.delivering import Delivery
from tests.stripe_server.factories import customer

Heard = tuple[bytes, str]


class Ear(HTTPServer):
    """Takes every webhook; `enough` is set at the second."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[Heard] = []
        self.enough = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: Ear

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((body, self.headers["Stripe-Signature"]))
        self.send_response(200)
        self.end_headers()
        if len(self.server.heard) >= 2:
            self.server.enough.set()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def ear() -> Iterator[Ear]:
    server = Ear()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def verified(heard: Heard, secret: str) -> Event:
    event: Event = Webhook.construct_event(heard[0], heard[1], secret)
    return event


def test_an_endpoint_made_through_the_api_hears_what_it_asked_for(
    control: Control, stripe: StripeClient, ear: Ear
) -> None:
    control.take_events()
    made = stripe.v1.webhook_endpoints.create(
        {"url": ear.url, "enabled_events": ["customer.updated"]}
    )
    control.hold_webhooks()
    payer = customer(stripe)
    for name in ("A", "B"):
        stripe.v1.customers.update(payer, {"name": name}, {"idempotency_key": f"to {name}"})
    assert ear.heard == []
    control.let_webhooks_go()
    assert ear.enough.wait(20)
    stripe.v1.webhook_endpoints.delete(made.id)
    events = [verified(one, str(made.secret)) for one in ear.heard]
    assert [event.type for event in events] == ["customer.updated"] * 2
    assert [event.request.idempotency_key for event in events if event.request] == ["to A", "to B"]


def test_they_are_brought_shuffled_twice_and_not_at_all(
    control: Control, stripe: StripeClient, ear: Ear
) -> None:
    control.take_events()
    sent = [customer(stripe) for _ in range(40)]
    statuses = control.deliver(ear.url, Delivery("whsec_a", twice=0.3, never=0.2, seed=7))
    came = [json.loads(body)["data"]["object"]["id"] for body, _ in ear.heard]
    assert statuses == [200] * len(came)
    assert 0 < len(set(came)) < len(sent)
    assert max(Counter(came).values()) == 2
    assert list(dict.fromkeys(came)) != [one for one in sent if one in came]


@pytest.mark.parametrize(
    "how", [Delivery("whsec_wrong"), Delivery("whsec_a", age_s=3600)], ids=["secret", "age"]
)
def test_the_sdk_refuses_what_is_signed_wrongly_or_long_ago(
    control: Control, stripe: StripeClient, ear: Ear, how: Delivery
) -> None:
    control.take_events()
    customer(stripe)
    control.deliver(ear.url, how)
    with pytest.raises(SignatureVerificationError):
        verified(ear.heard[0], "whsec_a")


def test_an_event_can_say_that_it_is_of_another_version(
    control: Control, stripe: StripeClient, ear: Ear
) -> None:
    control.take_events()
    customer(stripe)
    control.deliver(ear.url, Delivery("whsec_a", api_version="2020-08-27"))
    assert verified(ear.heard[0], "whsec_a").api_version == "2020-08-27"
