"""Alerts by webhook: from a rival's move through the outbox to a real receiver, once, or kept."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db.models.functions import Now
from standardwebhooks import Webhook, WebhookVerificationError

from saas.handlers import HANDLERS
from tenants.kernel.errors import Conflict, NotFound
from tenants.kernel.outbox import drain
from tenants.kernel.scope import system_scope
from tenants.kernel.webhooks import NotDelivered
from tenants.market.models import AlertDelivery, MarketAlert
from tenants.market.services import alert_resend, alerts_send
from tenants.market.services.telling import DELAYS, _failed, _taken
from tests.tenants.kernel.receiver import Receiver
from tests.tenants.market.market import cut, launched, operator, read, sold, today

pytestmark = pytest.mark.django_db

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    with Receiver() as made:
        settings.ALERT_WEBHOOK_URL = made.url
        settings.ALERT_WEBHOOK_SECRET = SECRET
        settings.ALERT_WEBHOOK_PRIVATE = True
        yield made


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the relay hands to the broker, which is not part of this."""
    sent: list[str] = []
    monkeypatch.setattr("saas.handlers.webhooks_send", lambda: sent.append("webhooks"))
    return sent


def moved() -> MarketAlert:
    sold(cost=Decimal("0.35"))
    read(launched(), cut(input_after="0.2", output_after="0.2", input_before=1, output_before=1))
    while drain(HANDLERS):
        pass
    with system_scope():
        return MarketAlert.objects.get()


def delivery() -> AlertDelivery:
    with system_scope():
        return AlertDelivery.objects.get()


def due_now() -> None:
    with system_scope():
        AlertDelivery.objects.update(due_at=Now())


def test_a_rivals_move_reaches_the_receiver_once(receiver: Receiver, hints: list[str]) -> None:
    alert = moved()
    assert hints == ["webhooks"]
    assert alerts_send() == 1
    assert alerts_send() == 0
    (got,) = receiver.received
    told: Any = Webhook(SECRET).verify(got.body, dict(got.headers))
    assert told["type"] == "market.rival_moved"
    assert told["data"] == {
        "id": alert.id, "level": "below_floor", "provider": "Acme", "model": "acme-1",
        "model_class": "small", "kind": "cut", "date": today().isoformat(), "base": "mini",
        "currency": "USD", "theirs": "0.2", "ours": "0.9",
        "floor": "0.5",
    }  # fmt: skip
    assert got.headers["webhook-id"] == alert.id
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(got.body, dict(got.headers))
    done = delivery()
    assert (done.state, done.tries, done.last_error) == ("delivered", 1, "")
    assert done.delivered_at is not None


@pytest.mark.usefixtures("hints")
def test_what_is_not_accepted_is_sent_again_under_its_id_then_given_up(receiver: Receiver) -> None:
    moved()
    receiver.answers = [500] * (len(DELAYS) + 1)
    assert alerts_send() == 1
    waiting = delivery()
    assert (waiting.state, waiting.last_error) == ("waiting", "it answered 500")
    assert alerts_send() == 0  # not due yet
    for _ in DELAYS:
        due_now()
        assert alerts_send() == 1
    dead = delivery()
    assert (dead.state, dead.tries) == ("dead", len(DELAYS) + 1)
    due_now()
    assert alerts_send() == 0
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1

    with system_scope():
        alert_resend(actor=operator(), alert_id=dead.alert_id)
    assert alerts_send() == 1
    assert delivery().state == "delivered"
    with system_scope(), pytest.raises(Conflict, match="is delivered"):
        alert_resend(actor=operator(), alert_id=dead.alert_id)
    with system_scope(), pytest.raises(NotFound):
        alert_resend(actor=operator(), alert_id="malert_no")


@pytest.mark.usefixtures("hints")
def test_a_receiver_that_wants_no_more_is_sent_no_more(receiver: Receiver) -> None:
    moved()
    receiver.answers = [410]
    alerts_send()
    assert delivery().state == "dead"


@pytest.mark.usefixtures("hints")
def test_each_failure_waits_longer(receiver: Receiver) -> None:
    moved()
    receiver.answers = [503] * 3
    waits = []
    for _ in range(3):
        due_now()
        alerts_send()
        with system_scope():
            row = AlertDelivery.objects.annotate(at=Now()).get()
            waits.append(row.due_at - row.at)
    assert waits == sorted(waits)
    assert all(
        wanted - dt.timedelta(seconds=5) < wait <= wanted
        for wait, wanted in zip(waits, DELAYS, strict=False)
    )


@pytest.mark.usefixtures("hints")
def test_one_that_comes_back_late_changes_nothing_that_another_settled(
    receiver: Receiver,
) -> None:
    """Its minute was over: another process took the alert and told it."""
    moved()
    late = _taken()
    assert late is not None
    due_now()
    assert alerts_send() == 1
    _failed(late, NotDelivered("it answered 410", gone=True))
    row = delivery()
    assert (row.state, row.tries, row.last_error) == ("delivered", 2, "")
    assert len(receiver.received) == 1


@pytest.mark.usefixtures("hints")
def test_an_address_in_our_own_network_is_not_called(receiver: Receiver, settings: Any) -> None:
    moved()
    settings.ALERT_WEBHOOK_PRIVATE = False
    settings.ALERT_WEBHOOK_URL = receiver.url.replace("http:", "https:")
    assert alerts_send() == 1
    assert "not on the public internet" in delivery().last_error
    assert receiver.received == []


def test_without_an_address_nothing_waits(settings: Any, hints: list[str]) -> None:
    settings.ALERT_WEBHOOK_URL = ""
    moved()
    assert hints == []
    assert alerts_send() == 0
    with system_scope():
        assert not AlertDelivery.objects.exists()
