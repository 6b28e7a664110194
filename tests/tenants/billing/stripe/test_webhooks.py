"""The webhooks' door: what is genuine is kept once and answered at once; all else is refused."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import Any

import pytest
from django.test import Client

from tenants.billing.stripe.client import API_VERSION
from tenants.billing.stripe.handling import KEPT_FOR, events_handle, events_purge
from tenants.billing.stripe.models import StripeEvent, StripeFinding, StripeObject
from tenants.kernel.scope import system_scope
from tests.stripe_server.faults import What
from tests.stripe_server.webhooks import signature
from tests.tenants.accounts.factories import SignedUp
from tests.tenants.billing.stripe.world import SECRET, World, object_id, topped_up

pytestmark = pytest.mark.django_db


def event(**fields: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "type": "customer.deleted",
        "api_version": API_VERSION,
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": {"id": "cus_1", "object": "customer"}},
        **fields,
    }


def send(
    told: Any, *, secret: str = SECRET, age: int = 0, header: str | None = None
) -> tuple[int, Any]:
    """Post to the door; the answer's status and error code."""
    payload = told if isinstance(told, bytes) else json.dumps(told).encode()
    signed = signature(payload, secret, int(time.time()) - age) if header is None else header
    answer = Client().post(
        "/webhooks/stripe",
        data=payload,
        content_type="application/json",
        headers={"Stripe-Signature": signed},
    )
    return answer.status_code, (answer.json().get("error") or {}).get("code")


def kept() -> list[StripeEvent]:
    with system_scope():
        return list(StripeEvent.objects.order_by("id"))


def test_a_genuine_event_is_kept_and_answered_before_anything_is_done(world: World) -> None:
    assert send(event()) == (200, None)
    (row,) = kept()
    assert (row.state, row.type, row.kind, row.object_id) == (
        "new",
        "customer.deleted",
        "customer",
        "cus_1",
    )
    assert world.control.requests() == []


def test_the_same_event_is_kept_once_however_often_it_comes(world: World) -> None:
    assert {send(event()) for _ in range(3)} == {(200, None)}
    assert len(kept()) == 1


def test_what_was_dealt_with_is_forgotten_after_its_time_and_what_waits_is_not(
    world: World,
) -> None:
    send(event(id="evt_done"))
    assert events_handle() == 1
    send(event(id="evt_waits"))
    now = dt.datetime.now(dt.UTC)
    assert events_purge(now=now + KEPT_FOR - dt.timedelta(hours=1)) == 0
    assert events_purge(now=now + KEPT_FOR + dt.timedelta(hours=1)) == 1
    assert [row.id for row in kept()] == ["evt_waits"]


@pytest.mark.parametrize(
    "fault",
    [
        {"secret": "whsec_other"},
        {"age": 301},
        {"header": ""},
        {"header": "t=1,v1=00"},
        {"header": "nonsense"},
    ],
    ids=["wrong", "old", "missing", "false", "unreadable"],
)
def test_what_is_not_signed_by_stripe_just_now_is_refused(
    world: World, fault: dict[str, Any]
) -> None:
    assert send(event(), **fault) == (400, "signature")
    assert kept() == []


def test_a_changed_payload_is_refused(world: World) -> None:
    payload = json.dumps(event()).encode()
    signed = signature(payload, SECRET, int(time.time()))
    assert send(payload.replace(b"cus_1", b"cus_2"), header=signed) == (400, "signature")


def test_a_signature_is_good_for_five_minutes(world: World) -> None:
    assert send(event(), age=295) == (200, None)


def test_either_secret_is_good_while_one_replaces_the_other(world: World, settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRET = f"whsec_new, {SECRET}"
    assert send(event()) == (200, None)
    assert send(event(id="evt_2"), secret="whsec_new") == (200, None)
    assert send(event(id="evt_3"), secret="whsec_old") == (400, "signature")


@pytest.mark.parametrize(
    "told",
    [b"not json", b"[]", {"object": "event"}, {"object": "v2.core.event", "id": "evt_1"}],
    ids=["no-json", "a-list", "bare", "thin"],
)
def test_what_is_no_snapshot_event_is_refused(world: World, told: Any) -> None:
    assert send(told) == (400, "event")


def test_without_a_secret_nothing_is_taken(world: World, settings: Any) -> None:
    settings.STRIPE_WEBHOOK_SECRET = ""
    assert send(event()) == (503, "stripe_off")


def test_only_posts_are_taken_and_no_key_of_ours_is_needed(world: World) -> None:
    assert Client().get("/webhooks/stripe").status_code == 405
    assert Client(enforce_csrf_checks=True).post("/webhooks/stripe").status_code == 400


def test_another_api_version_is_taken_and_is_an_alarm(world: World) -> None:
    assert send(event(api_version="2020-08-27")) == (200, None)
    with system_scope():
        found = StripeFinding.objects.get(kind="api_version")
    assert (found.subject, found.evidence["pinned"]) == ("2020-08-27", API_VERSION)


def test_events_of_the_other_mode_are_kept_ignored_and_an_alarm(world: World) -> None:
    assert send(event(livemode=True)) == (200, None)
    events_handle()
    assert kept()[0].state == "ignored"
    with system_scope():
        assert StripeFinding.objects.get(kind="mode").subject == "live"


@pytest.mark.parametrize("kind", ["mandate", "radar.early_fraud_warning", "no.such.thing"])
def test_what_is_nothing_to_us_is_kept_and_ignored(world: World, kind: str) -> None:
    send(event(type=f"{kind}.updated", data={"object": {"id": "x_1", "object": kind}}))
    events_handle()
    assert kept()[0].state == "ignored"
    assert world.control.requests() == []


def test_a_partners_own_payouts_are_not_ours(world: World) -> None:
    send(event(account="acct_1", data={"object": {"id": "po_1", "object": "payout"}}))
    events_handle()
    assert kept()[0].state == "ignored"


def test_an_object_that_is_gone_ends_the_matter(world: World) -> None:
    send(event())
    assert events_handle() == 1
    assert kept()[0].state == "handled"


def test_what_an_event_says_is_not_believed(world: World, tenant: SignedUp) -> None:
    """Somebody with the secret says that a customer is deleted: Stripe is asked, and says no."""
    topped_up(world, tenant, "25")
    mine = object_id(tenant, "customer")
    send(event(data={"object": {"id": mine, "object": "customer", "deleted": True}}))
    events_handle()
    with system_scope():
        assert StripeObject.objects.get(stripe_id=mine).state == "active"


def test_events_wait_while_stripe_is_away(world: World) -> None:
    send(event())
    world.control.fault(What.STATUS, "GET /v1/customers", times=2, status=503)
    events_handle()
    assert (kept()[0].state, kept()[0].attempts) == ("new", 1)
    world.settle()
    assert kept()[0].state == "handled"
