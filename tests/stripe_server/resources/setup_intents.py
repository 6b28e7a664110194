"""SetupIntents: a payment method saved for later. https://docs.stripe.com/api/setup_intents"""

from __future__ import annotations

from tests.stripe_server.handling import Call, handles, lists, metadata, retrieves
from tests.stripe_server.resources.customers import customer_alive
from tests.stripe_server.resources.payment_methods import method_keep, method_named
from tests.stripe_server.store import Object, Store

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
    )
    if name := call.params.get("payment_method"):
        made["payment_method"] = method_named(call.store, name)["id"]
        made["status"] = "requires_confirmation"
    if call.params.get("confirm"):
        setup_succeed(call.store, made)
    return made


@handles("POST", "/v1/setup_intents/{intent}/confirm")
def setup_confirm(call: Call) -> Object:
    found = call.store.get("setup_intent", call.id)
    if name := call.params.get("payment_method"):
        found["payment_method"] = method_named(call.store, name)["id"]
    setup_succeed(call.store, found)
    return found


def setup_make(store: Store, customer: str | None, **fields: object) -> Object:
    made = store.add(
        "setup_intent",
        customer=customer,
        status="requires_payment_method",
        payment_method=None,
        client_secret="seti_secret",
        **{"metadata": {}, "usage": "off_session", **fields},
    )
    store.emit("setup_intent.created", made)
    return made


def setup_succeed(store: Store, intent: Object) -> None:
    intent["status"] = "succeeded"
    if intent["customer"]:
        method = store.get("payment_method", intent["payment_method"], "payment_method")
        method_keep(store, method, intent["customer"])
    store.emit("setup_intent.succeeded", intent)
