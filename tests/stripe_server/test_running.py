"""A process of its own: what it has answered survives it, and webhooks are sent until heard."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from stripe import APIConnectionError

from saas.runtime.ports import free_port
from tests.stripe_server.control import Control
from tests.stripe_server.factories import client_of, customer, kinds_of, open_invoice, paid_intent
from tests.stripe_server.faults import What
from tests.stripe_server.running import Process, stripe_server
from tests.stripe_server.webhooks import Endpoint


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    found = Process(free_port(), tmp_path / "stripe.json")
    yield found
    found.kill()


@pytest.mark.parametrize(("what", "is_done"), [(What.DIE, False), (What.DIE_AFTER, True)])
def test_what_was_acted_upon_is_there_after_a_kill(
    process: Process, what: What, is_done: bool
) -> None:
    control = process.start()
    stripe = client_of(control)
    invoice = open_invoice(stripe, 1000)
    options = {"idempotency_key": "pay"}
    control.fault(what, "/pay")
    with pytest.raises(APIConnectionError):
        stripe.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_visa"}, options)  # type: ignore[arg-type]
    stripe = client_of(process.start())
    status = stripe.v1.invoices.retrieve(invoice.id).status
    assert status == ("paid" if is_done else "open")
    paid = stripe.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_visa"}, options)  # type: ignore[arg-type]
    assert paid.status == "paid"
    assert len(stripe.v1.charges.list().data) == 1
    assert paid.payments.data[0].status == "paid"  # type: ignore[union-attr]


def test_a_webhook_is_sent_again_until_it_is_taken() -> None:
    heard: list[bytes] = []
    done = threading.Event()

    class Deaf(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(503 if len(heard) == 1 else 200)
            self.end_headers()
            if len(heard) == 3:
                done.set()

        def log_message(self, *args: object) -> None:
            pass

    ear = HTTPServer(("127.0.0.1", 0), Deaf)
    threading.Thread(target=ear.serve_forever, daemon=True).start()
    endpoint = Endpoint(f"http://127.0.0.1:{ear.server_port}/", "whsec_a")
    with stripe_server(webhooks=endpoint) as control:
        stripe = client_of(control)
        customer(stripe)
        customer(stripe)
        assert done.wait(20)
    ear.shutdown()
    ear.server_close()
    assert kinds_of(heard) == ["customer.created"] * 3
    assert heard[0] == heard[1] != heard[2]


def test_pages_and_expansions(control: Control) -> None:
    stripe = client_of(control)
    ids = {paid_intent(stripe, 500 + n).id for n in range(7)}
    pages = stripe.v1.payment_intents.list({"limit": 3}).auto_paging_iter()
    assert ids <= {intent.id for intent in pages}
    listed = stripe.v1.payment_intents.list(
        {"limit": 3, "expand": ["data.latest_charge.balance_transaction"]}
    ).data
    assert all(i.latest_charge.balance_transaction.net for i in listed)  # type: ignore[union-attr]
