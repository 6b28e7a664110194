"""The door for tests, beside the API: what customers and banks do, time, webhooks and faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.stripe_server.due import run_due
from tests.stripe_server.resources.authentication import authenticate
from tests.stripe_server.resources.balance import payout_arrive, payout_fail
from tests.stripe_server.resources.charges import charge_fail_late
from tests.stripe_server.resources.checkout import session_expire, session_pay
from tests.stripe_server.resources.connect import account_onboard
from tests.stripe_server.resources.disputes import dispute_open
from tests.stripe_server.resources.refunds import refund_fail
from tests.stripe_server.store import Store
from tests.stripe_server.webhooks import payload_of

Given = Mapping[str, Any]


def _pay_session(store: Store, given: Given) -> Any:
    return session_pay(store, given["session"], given["method"])


def _advance(store: Store, given: Given) -> Any:
    """Everything that is due on the way happens."""
    target = store.now() + given["seconds"]
    store.state["offset"] += given["seconds"]
    run_due(store, target)
    return {"now": store.now()}


def _dispute(store: Store, given: Given) -> Any:
    return dispute_open(store, store.get("charge", given["charge"]), given.get("amount"))


def _fail_charge(store: Store, given: Given) -> Any:
    charge_fail_late(store, store.get("charge", given["charge"]))


def _events_take(store: Store, given: Given) -> Any:
    """What waits for delivery; it counts as delivered from now on."""
    del given
    waiting, store.state["deliveries"] = store.state["deliveries"], []
    return [payload_of(store, event_id).decode() for event_id in waiting]


def _forget_keys(store: Store, given: Given) -> Any:
    del given
    store.state["keys"] = {}


def _version(store: Store, given: Given) -> Any:
    store.state["api_version"] = given["version"]


def _hold_webhooks(store: Store, given: Given) -> Any:
    store.state["is_held"] = given["is_held"]


def _fees(store: Store, given: Given) -> Any:
    store.state["fees"] = {"share": given["share"], "fixed": given["fixed"]}


DOORS: Mapping[str, Callable[[Store, Given], Any]] = {
    "pay_session": _pay_session,
    "expire_session": lambda store, given: session_expire(store, given["session"]),
    "advance": _advance,
    "onboard": lambda store, given: account_onboard(store, given["account"]),
    "open_dispute": _dispute,
    "fail_charge": _fail_charge,
    "fail_refund": lambda store, given: refund_fail(store, given["refund"]),
    "fail_payout": lambda store, given: payout_fail(store, given["payout"]),
    "arrive_payout": lambda store, given: payout_arrive(store, given["payout"]),
    "take_events": _events_take,
    "forget_keys": _forget_keys,
    "api_version": _version,
    "hold_webhooks": _hold_webhooks,
    "fees": _fees,
    "authenticate": lambda store, given: authenticate(store, given["intent"], ok=given["ok"]),
}
