"""SetupIntents: a payment method saved for later. https://docs.stripe.com/api/setup_intents"""

from __future__ import annotations

from typing import Any

from tests.stripe_server.errors import Refused, declined
from tests.stripe_server.handling import Call, handles, lists, metadata, retrieves
from tests.stripe_server.resources.customers import customer_alive
from tests.stripe_server.resources.payment_methods import (
    DECLINES,
    SAVED_ALL_THE_SAME,
    decline_of,
    method_keep,
    method_named,
    method_usable,
)
from tests.stripe_server.store import Object, Store

_FIELDS = ("description", "payment_method_types", "automatic_payment_methods")

lists("/v1/setup_intents", "setup_intent", "customer", "payment_method")
retrieves("/v1/setup_intents/{intent}", "setup_intent")


@handles("POST", "/v1/setup_intents")
def setup_create(call: Call) -> Object:
    if "customer" in call.params:
        customer_alive(call, call.params["customer"])
    made = setup_make(
        call.store,
        call.params.get("customer"),
        metadata=metadata({}, call.params.get("metadata")),
        usage=call.params.get("usage", "off_session"),
        **call.given(*_FIELDS),
    )
    call.given("return_url", "mandate_data", "use_stripe_sdk")
    if name := call.params.get("payment_method"):
        made["payment_method"] = method_named(call.store, name)["id"]
        made["status"] = "requires_confirmation"
    if call.params.get("confirm"):
        setup_confirm(call.store, made)
    return made


@handles("POST", "/v1/setup_intents/{intent}/confirm")
def setup_confirm_call(call: Call) -> Object:
    found = call.store.get("setup_intent", call.id)
    call.given("return_url", "mandate_data", "use_stripe_sdk")
    if name := call.params.get("payment_method"):
        found["payment_method"] = method_named(call.store, name)["id"]
    setup_confirm(call.store, found)
    return found


@handles("POST", "/v1/setup_intents/{intent}")
def setup_update(call: Call) -> Object:
    found = call.store.get("setup_intent", call.id)
    found.update(call.given(*_FIELDS))
    found["metadata"] = metadata(found["metadata"], call.params.get("metadata"))
    return found


@handles("POST", "/v1/setup_intents/{intent}/cancel")
def setup_cancel(call: Call) -> Object:
    found = call.store.get("setup_intent", call.id)
    if found["status"] in {"succeeded", "canceled"}:
        raise _unexpected("cancel", found)
    found.update(status="canceled", cancellation_reason=call.params.get("cancellation_reason"))
    call.store.emit("setup_intent.canceled", found)
    return found


def setup_confirm(store: Store, intent: Object) -> None:
    """Ask the bank. Raises Refused for a decline, which the intent remembers."""
    if intent["status"] in {"succeeded", "canceled"}:
        raise _unexpected("confirm", intent)
    if intent["payment_method"] is None:
        raise _unexpected("confirm", intent)
    method = store.get("payment_method", intent["payment_method"], "payment_method")
    method_usable(method, intent["customer"])
    outcome = method["_outcome"]
    if outcome == "authentication_required":
        intent.update(status="requires_action", next_action={"type": "use_stripe_sdk"})
        store.emit("setup_intent.requires_action", intent)
    elif outcome in DECLINES.keys() - SAVED_ALL_THE_SAME:
        setup_fail(store, intent, *decline_of(outcome))
        raise declined(*decline_of(outcome))
    else:
        setup_succeed(store, intent)


def setup_fail(
    store: Store,
    intent: Object,
    code: str = "setup_intent_authentication_failure",
    decline_code: str | None = None,
    message: str = "We are unable to authenticate your payment method.",
) -> None:
    intent.update(
        status="requires_payment_method",
        next_action=None,
        last_setup_error={"code": code, "decline_code": decline_code, "message": message,
                          "type": "card_error"},
    )  # fmt: skip
    store.emit("setup_intent.setup_failed", intent)


def setup_make(store: Store, customer: str | None, **fields: Any) -> Object:
    made = store.add(
        "setup_intent",
        customer=customer,
        status="requires_payment_method",
        payment_method=None,
        last_setup_error=None,
        next_action=None,
        **{"metadata": {}, "usage": "off_session", **fields},
    )
    made["client_secret"] = f"{made['id']}_secret_local"
    store.emit("setup_intent.created", made)
    return made


def setup_succeed(store: Store, intent: Object) -> None:
    from tests.stripe_server.resources.checkout import setup_follow

    intent.update(status="succeeded", next_action=None, last_setup_error=None)
    if intent["customer"]:
        method = store.get("payment_method", intent["payment_method"], "payment_method")
        method_keep(store, method, intent["customer"])
    store.emit("setup_intent.succeeded", intent)
    setup_follow(store, intent)


def _unexpected(verb: str, intent: Object) -> Refused:
    return Refused(
        f"You cannot {verb} this SetupIntent because it has a status of {intent['status']}.",
        code="setup_intent_unexpected_state",
    )
