"""Checkout sessions and the Billing Portal. https://docs.stripe.com/api/checkout/sessions

`session_pay` is what a customer does on the page (`pages.py`), or a test in their place.
"""

from __future__ import annotations

from typing import Any

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, lists, metadata, page, retrieves
from tests.stripe_server.resources.customers import customer_alive, customer_make
from tests.stripe_server.resources.payment_methods import (
    method_keep,
    method_named,
    method_savable,
)
from tests.stripe_server.resources.payments import intent_confirm, intent_make
from tests.stripe_server.resources.prices import line_amount
from tests.stripe_server.resources.setup_intents import setup_confirm, setup_make
from tests.stripe_server.resources.subscriptions import subscription_make
from tests.stripe_server.store import Object, Store

DAY = 86_400

lists("/v1/checkout/sessions", "checkout.session", "customer", "payment_intent", "status")
retrieves("/v1/checkout/sessions/{session}", "checkout.session")


@handles("POST", "/v1/checkout/sessions")
def session_create(call: Call) -> Object:
    params, store = call.params, call.store
    mode = params.get("mode", "payment")
    if "customer" in params:
        customer_alive(call, params["customer"])
    if mode == "setup" and "line_items" in params:
        raise Refused("You can not pass `line_items` in `setup` mode.", param="line_items")
    if mode != "setup" and not params.get("line_items"):
        raise Refused(
            f"Missing required param: line_items. It is required in `{mode}` mode.",
            code="parameter_missing",
            param="line_items",
        )
    if mode == "setup" and not ({"currency", "payment_method_types"} & params.keys()):
        raise Refused(
            "You must provide `currency` or `payment_method_types` in `setup` mode.",
            code="parameter_missing",
            param="currency",
        )
    total, currency = _total(store, params)
    made = store.add(
        "checkout.session",
        mode=mode,
        status="open",
        payment_status="no_payment_required" if mode == "setup" else "unpaid",
        customer=params.get("customer"),
        client_reference_id=params.get("client_reference_id"),
        amount_total=total,
        amount_subtotal=total,
        currency=currency or params.get("currency"),
        success_url=params.get("success_url"),
        cancel_url=params.get("cancel_url"),
        expires_at=params.get("expires_at", store.now() + DAY),
        payment_intent=None,
        setup_intent=None,
        invoice=None,
        subscription=None,
        metadata=metadata({}, params.get("metadata")),
        locale=params.get("locale"),
        customer_email=params.get("customer_email"),
        **call.given("payment_method_types", "ui_mode", "customer_creation", "submit_type"),
        _intent=dict(params.get("payment_intent_data") or {}),
        _subscription=dict(params.get("subscription_data") or {}),
        _items=[dict(item) for item in params.get("line_items") or []],
    )
    made["url"] = store.page("c/pay", made["id"])
    if mode == "setup":
        data = (params.get("setup_intent_data") or {}).get("metadata")
        made["setup_intent"] = setup_make(
            store, params.get("customer"), metadata=metadata({}, data)
        )["id"]
    store.later(made["expires_at"], "session_expire", made["id"])
    return made


@handles("POST", "/v1/checkout/sessions/{session}/expire")
def session_expire_call(call: Call) -> Object:
    session = call.store.get("checkout.session", call.id)
    if session["status"] != "open":
        raise Refused(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of `{session['status']}`."
        )
    session_expire(call.store, session["id"])
    return session


def session_expire(store: Store, session_id: str) -> None:
    session = store.get("checkout.session", session_id)
    if session["status"] == "open":
        session.update(status="expired", url=None)
        store.emit("checkout.session.expired", session)


def session_pay(store: Store, session_id: str, method_name: str) -> Object:
    """The customer pays, or saves, with a test payment method. Raises Refused for a decline."""
    session = store.get("checkout.session", session_id)
    if session["status"] != "open":
        raise Refused(f"the session is {session['status']}")
    method = method_named(store, method_name)
    if session["mode"] == "setup":
        intent = store.get("setup_intent", session["setup_intent"])
        intent["payment_method"] = method["id"]
        setup_confirm(store, intent)
        return session
    if session["mode"] == "subscription":
        _subscribe(store, session, method)
        return session
    data = session["_intent"]
    if session["payment_intent"] is None:
        intent = intent_make(
            store,
            session["amount_total"],
            session["currency"],
            customer=session["customer"],
            metadata=metadata({}, data.get("metadata")),
            transfer_group=data.get("transfer_group"),
            setup_future_usage=data.get("setup_future_usage"),
            _session=session_id,
        )
        session["payment_intent"] = intent["id"]
    intent = store.get("payment_intent", session["payment_intent"])
    intent["payment_method"] = method["id"]
    intent_confirm(store, intent)  # a decline leaves the page open
    if intent["status"] == "processing":
        _complete(store, session)
    return session


def _subscribe(store: Store, session: Object, method: Object) -> None:
    """The customer subscribes with this method; a decline leaves the page open."""
    if session["customer"] is None:
        session["customer"] = customer_make(store, {"email": session["customer_email"]})["id"]
    method_savable(method)
    method_keep(store, method, session["customer"])
    made = subscription_make(
        store,
        {
            **session["_subscription"],
            "customer": session["customer"],
            "items": session["_items"],
            "default_payment_method": method["id"],
            "payment_behavior": "error_if_incomplete",
        },
    )
    session.update(subscription=made["id"], invoice=made["latest_invoice"], payment_status="paid")
    _complete(store, session)


def setup_follow(store: Store, intent: Object) -> None:
    """A page for saving a payment method is done once it is saved."""
    for session in store.where("checkout.session", setup_intent=intent["id"], status="open"):
        _complete(store, session)


@handles("GET", "/v1/checkout/sessions/{session}/line_items")
def session_lines(call: Call) -> Object:
    session = call.store.get("checkout.session", call.id)
    rows = []
    for number, item in enumerate(session["_items"]):
        amount, currency = line_amount(call.store, item, f"line_items[{number}]")
        rows.append(
            {"id": f"li_{session['id']}_{number}", "object": "item", "amount_total": amount,
             "amount_subtotal": amount, "currency": currency, "quantity": item.get("quantity", 1)}
        )  # fmt: skip
    return page(call, rows)


def session_follow(store: Store, intent: Object) -> None:
    """What becomes of a session when its payment has succeeded or failed."""
    session_id = intent.get("_session")
    if session_id is None:
        return
    session = store.get("checkout.session", session_id)
    was_open = session["status"] == "open"
    if intent["status"] == "succeeded":
        session["payment_status"] = "paid"
        if was_open:
            _complete(store, session)
        else:
            store.emit("checkout.session.async_payment_succeeded", session)
    elif not was_open:
        store.emit("checkout.session.async_payment_failed", session)


def _complete(store: Store, session: Object) -> None:
    session.update(status="complete", url=None)
    store.emit("checkout.session.completed", session)


def _total(store: Store, params: Any) -> tuple[int | None, str | None]:
    items = params.get("line_items") or []
    found = [line_amount(store, item, f"line_items[{n}]") for n, item in enumerate(items)]
    currencies = {currency for _, currency in found}
    if len(currencies) > 1:
        raise Refused("The line items must all be in one currency.", param="line_items")
    return (sum(a for a, _ in found), currencies.pop()) if found else (None, None)


@handles("POST", "/v1/billing_portal/sessions")
def portal_create(call: Call) -> Object:
    """https://docs.stripe.com/api/customer_portal/sessions"""
    if "customer" not in call.params:
        raise Refused(
            "Missing required param: customer.", code="parameter_missing", param="customer"
        )
    customer_alive(call, call.params["customer"])
    made = call.store.add(
        "billing_portal.session",
        customer=call.params["customer"],
        return_url=call.params.get("return_url"),
        locale=call.params.get("locale"),
        configuration="bpc_default",
    )
    made["url"] = call.store.page("p/session", made["id"])
    return made
