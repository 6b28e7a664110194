"""Customers: https://docs.stripe.com/api/customers."""

from __future__ import annotations

from typing import Any

from tests.stripe_server.errors import missing
from tests.stripe_server.handling import Call, handles, lists, metadata
from tests.stripe_server.store import Object, Store

_FIELDS = (
    "name", "email", "description", "phone", "address", "preferred_locales", "tax_exempt",
    "shipping",
)  # fmt: skip

lists("/v1/customers", "customer", "email")


@handles("POST", "/v1/customers")
def customer_create(call: Call) -> Object:
    from tests.stripe_server.resources.payment_methods import method_keep, method_named

    store = call.store
    made = customer_make(store, call.given("metadata", "test_clock", "balance", *_FIELDS))
    if name := call.params.get("payment_method"):
        method_keep(store, method_named(store, name), made["id"])
    _settings(made, call)
    store.emit("customer.created", made)
    return made


def customer_make(store: Store, given: Object) -> Object:
    clock = given.get("test_clock")
    fields: Any = {name: given.get(name) for name in _FIELDS}
    return store.add(
        "customer",
        at=store.now(clock),
        metadata=metadata({}, given.get("metadata")),
        test_clock=clock,
        balance=given.get("balance", 0),
        currency=None,
        default_source=None,
        delinquent=False,
        invoice_settings={"default_payment_method": None},
        **fields,
    )


@handles("GET", "/v1/customers/{customer}")
def customer_retrieve(call: Call) -> Object:
    """A deleted one is answered with as `deleted`: no other object is."""
    found = call.store.get("customer", call.id)
    return deleted(found) if found.get("_deleted") else found


@handles("POST", "/v1/customers/{customer}")
def customer_update(call: Call) -> Object:
    found = customer_alive(call, call.id, "id")
    found.update(call.given(*_FIELDS))
    found["metadata"] = metadata(found["metadata"], call.params.get("metadata"))
    _settings(found, call)
    call.store.emit("customer.updated", found)
    return found


@handles("DELETE", "/v1/customers/{customer}")
def customer_delete(call: Call) -> Object:
    """Its payment methods may not be used again, unsaid; its subscriptions end at once."""
    from tests.stripe_server.resources.subscriptions import subscription_end

    found = customer_alive(call, call.id, "id")
    for method in call.store.where("payment_method", customer=found["id"]):
        method.update(customer=None, _is_spent=True)
    for subscription in call.store.where("subscription", customer=found["id"]):
        if subscription["status"] != "canceled":
            subscription_end(call.store, subscription)
    found["_deleted"] = True
    call.store.emit("customer.deleted", found)
    return deleted(found)


def customer_alive(call: Call, customer_id: str, param: str = "customer") -> Object:
    """Raises Refused for one that is unknown or deleted."""
    found = call.store.get("customer", customer_id, param)
    if found.get("_deleted"):
        raise missing("customer", customer_id, param)
    return found


def deleted(found: Object) -> Object:
    return {"id": found["id"], "object": found["object"], "deleted": True}


def _settings(customer: Object, call: Call) -> None:
    given = call.params.get("invoice_settings") or {}
    if "default_payment_method" in given:
        customer["invoice_settings"]["default_payment_method"] = given["default_payment_method"]
