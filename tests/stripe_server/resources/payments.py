"""PaymentIntents: https://docs.stripe.com/payments/paymentintents/lifecycle."""

from __future__ import annotations

from typing import Any

from tests.stripe_server.errors import Refused, declined
from tests.stripe_server.handling import Call, handles, lists, metadata, retrieves
from tests.stripe_server.resources.charges import charge_capture, charge_make
from tests.stripe_server.resources.currencies import charge_check, currency_check
from tests.stripe_server.resources.customers import customer_alive
from tests.stripe_server.resources.payment_methods import (
    DECLINES,
    SLOW,
    decline_of,
    method_keep,
    method_named,
    method_usable,
)
from tests.stripe_server.store import Object, Store

BANK_SECONDS = 4 * 86_400
CLOSED = frozenset({"succeeded", "canceled", "processing", "requires_capture"})
_FIELDS = (
    "description", "receipt_email", "statement_descriptor", "statement_descriptor_suffix",
    "setup_future_usage", "payment_method_types", "automatic_payment_methods", "shipping",
    "payment_method_options",
)  # fmt: skip
_NO_EFFECT = ("return_url", "use_stripe_sdk", "mandate_data", "error_on_requires_action")

lists("/v1/payment_intents", "payment_intent", "customer")
retrieves("/v1/payment_intents/{intent}", "payment_intent")


@handles("POST", "/v1/payment_intents")
def intent_create(call: Call) -> Object:
    params = call.params
    call.given(*_NO_EFFECT)
    if "customer" in params:
        customer_alive(call, params["customer"])
    intent = intent_make(
        call.store,
        params["amount"],
        params["currency"],
        customer=params.get("customer"),
        metadata=metadata({}, params.get("metadata")),
        transfer_group=params.get("transfer_group"),
        capture_method=params.get("capture_method", "automatic"),
        confirmation_method=params.get("confirmation_method", "automatic"),
        **call.given(*_FIELDS),
    )
    _choose(call, intent)
    off_session = bool(params.get("off_session"))
    if params.get("confirm"):
        intent_confirm(call.store, intent, off_session=off_session)
    return intent


@handles("POST", "/v1/payment_intents/{intent}")
def intent_update(call: Call) -> Object:
    intent = call.store.get("payment_intent", call.id)
    if intent["status"] in CLOSED and {"amount", "currency", "payment_method"} & call.params.keys():
        raise _unexpected("update", intent)
    intent.update(call.given("transfer_group", *_FIELDS))
    if "amount" in call.params:
        charge_check(call.params["amount"], intent["currency"])
        intent["amount"] = call.params["amount"]
    intent["metadata"] = metadata(intent["metadata"], call.params.get("metadata"))
    _choose(call, intent)
    return intent


@handles("POST", "/v1/payment_intents/{intent}/confirm")
def intent_confirm_call(call: Call) -> Object:
    intent = call.store.get("payment_intent", call.id)
    call.given(*_NO_EFFECT)
    intent.update(call.given("setup_future_usage"))
    _choose(call, intent)
    intent_confirm(call.store, intent, off_session=bool(call.params.get("off_session")))
    return intent


@handles("POST", "/v1/payment_intents/{intent}/capture")
def intent_capture(call: Call) -> Object:
    """All, or a part: the rest of the authorisation is let go."""
    intent, store = call.store.get("payment_intent", call.id), call.store
    if intent["status"] != "requires_capture":
        raise _unexpected("capture", intent)
    amount = call.params.get("amount_to_capture", intent["amount"])
    if not 0 < amount <= intent["amount"]:
        raise Refused(
            "The amount to capture is above what was authorised.",
            code="amount_too_large",
            param="amount_to_capture",
        )
    charge = store.get("charge", intent["latest_charge"])
    charge_capture(store, charge, amount)
    store.emit("charge.captured", charge)
    _succeeded(store, intent, charge)
    return intent


@handles("POST", "/v1/payment_intents/{intent}/cancel")
def intent_cancel(call: Call) -> Object:
    intent = call.store.get("payment_intent", call.id)
    if intent["status"] in CLOSED - {"requires_capture"}:
        raise _unexpected("cancel", intent)
    intent.update(
        status="canceled",
        canceled_at=call.store.now(),
        cancellation_reason=call.params.get("cancellation_reason"),
    )
    call.store.emit("payment_intent.canceled", intent)
    return intent


def intent_make(store: Store, amount: int, currency: str, **fields: Any) -> Object:
    currency = currency_check(currency)
    charge_check(amount, currency)
    intent = store.add(
        "payment_intent",
        amount=amount,
        amount_received=0,
        currency=currency,
        status="requires_payment_method",
        payment_method=None,
        latest_charge=None,
        last_payment_error=None,
        next_action=None,
        **{"customer": None, "metadata": {}, "transfer_group": None,
           "capture_method": "automatic", "payment_method_types": ["card"], **fields},
    )  # fmt: skip
    intent["client_secret"] = f"{intent['id']}_secret_local"
    store.emit("payment_intent.created", intent)
    return intent


def intent_confirm(store: Store, intent: Object, *, off_session: bool = False) -> None:
    """Charge its payment method. Raises Refused for a decline, which the intent remembers."""
    if intent["status"] in CLOSED:
        raise _unexpected("confirm", intent)
    if intent["payment_method"] is None:
        raise Refused(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    method = store.get("payment_method", intent["payment_method"], "payment_method")
    method_usable(method, intent["customer"])
    outcome = method["_outcome"]
    if outcome == "authentication_required" and not off_session:
        intent.update(status="requires_action", next_action={"type": "use_stripe_sdk"})
        store.emit("payment_intent.requires_action", intent)
    elif outcome in DECLINES:
        _decline(store, intent, outcome)
    elif outcome in SLOW:
        intent["status"] = "processing"
        store.emit("payment_intent.processing", intent)
        store.later(store.now() + BANK_SECONDS, outcome, intent["id"])
    else:
        intent_succeed(store, intent)
    if intent["customer"] and intent.get("setup_future_usage"):
        method_keep(store, method, intent["customer"])


def intent_succeed(store: Store, intent: Object) -> None:
    """The bank has said yes: the money is taken, or kept ready until it is captured."""
    charge = charge_make(store, intent, "succeeded")
    if intent["capture_method"] == "manual":
        intent.update(status="requires_capture", amount_capturable=intent["amount"])
        store.emit("charge.succeeded", charge)
        store.emit("payment_intent.amount_capturable_updated", intent)
        return
    charge_capture(store, charge, intent["amount"])
    store.emit("charge.succeeded", charge)
    _succeeded(store, intent, charge)


def intent_fail(
    store: Store,
    intent: Object,
    decline_code: str = "debit_not_authorized",
    code: str = "payment_intent_payment_attempt_failed",
) -> None:
    """A slow payment did not come, or the customer did not pass the bank's question."""
    from tests.stripe_server.resources.checkout import session_follow
    from tests.stripe_server.resources.invoice_payments import invoice_follow

    charge = charge_make(store, intent, "failed", failure_code=code)
    intent.update(
        status="requires_payment_method",
        next_action=None,
        last_payment_error={"code": code, "decline_code": decline_code or None,
                            "type": "card_error", "message": "The payment failed.",
                            "charge": charge["id"]},
    )  # fmt: skip
    store.emit("payment_intent.payment_failed", intent)
    invoice_follow(store, intent)
    session_follow(store, intent)


def _succeeded(store: Store, intent: Object, charge: Object) -> None:
    from tests.stripe_server.resources.checkout import session_follow
    from tests.stripe_server.resources.disputes import dispute_open
    from tests.stripe_server.resources.invoice_payments import invoice_follow

    intent.update(
        status="succeeded",
        amount_received=charge["amount_captured"],
        amount_capturable=0,
        next_action=None,
        last_payment_error=None,
    )
    store.emit("payment_intent.succeeded", intent)
    invoice_follow(store, intent)
    session_follow(store, intent)
    if store.get("payment_method", charge["payment_method"])["_outcome"] == "dispute":
        dispute_open(store, charge)


def _decline(store: Store, intent: Object, outcome: str) -> None:
    code, decline_code, message = decline_of(outcome)
    charge = charge_make(store, intent, "failed", failure_code=code, failure_message=message)
    intent.update(
        status="requires_payment_method",
        last_payment_error={"code": code, "decline_code": decline_code, "message": message,
                            "type": "card_error", "charge": charge["id"]},
    )  # fmt: skip
    store.emit("charge.failed", charge)
    store.emit("payment_intent.payment_failed", intent)
    raise declined(code, decline_code, message, charge=charge["id"], payment_intent=dict(intent))


def _choose(call: Call, intent: Object) -> None:
    """The payment method that a request names."""
    if name := call.params.get("payment_method"):
        intent["payment_method"] = method_named(call.store, name)["id"]
        if intent["status"] == "requires_payment_method":
            intent["status"] = "requires_confirmation"


def _unexpected(verb: str, intent: Object) -> Refused:
    return Refused(
        f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
    )
