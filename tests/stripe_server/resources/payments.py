"""PaymentIntents and the charges that they make.

https://docs.stripe.com/payments/paymentintents/lifecycle
"""

from __future__ import annotations

from typing import Any

from tests.stripe_server.errors import Refused, declined
from tests.stripe_server.handling import Call, handles, lists, metadata, retrieves
from tests.stripe_server.resources.balance import balance_change, fee_of
from tests.stripe_server.resources.customers import customer_alive
from tests.stripe_server.resources.payment_methods import SLOW, method_keep, method_named
from tests.stripe_server.store import Object, Store

MOST = 99_999_999
LEAST = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50, "kwd": 150}
DECLINES = {
    "generic_decline": ("card_declined", "Your card was declined."),
    "insufficient_funds": ("card_declined", "Your card has insufficient funds."),
    "lost_card": ("card_declined", "Your card was declined."),
    "fraudulent": ("card_declined", "Your card was declined."),
    "expired_card": ("expired_card", "Your card has expired."),
    "authentication_required": (
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
    "processing_error": (
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
}
BANK_SECONDS = 4 * 86_400

lists("/v1/payment_intents", "payment_intent", "customer")
lists("/v1/charges", "charge", "customer", "payment_intent", "transfer_group")
retrieves("/v1/payment_intents/{intent}", "payment_intent")
retrieves("/v1/charges/{charge}", "charge")


@handles("POST", "/v1/payment_intents")
def intent_create(call: Call) -> Object:
    params = call.params
    if "customer" in params:
        customer_alive(call, params["customer"])
    intent = intent_make(
        call.store,
        params["amount"],
        params["currency"],
        customer=params.get("customer"),
        metadata=metadata({}, params.get("metadata")),
        transfer_group=params.get("transfer_group"),
        description=params.get("description"),
    )
    if name := params.get("payment_method"):
        intent["payment_method"] = method_named(call.store, name)["id"]
        intent["status"] = "requires_confirmation"
    if params.get("confirm"):
        intent_confirm(call.store, intent)
    return intent


@handles("POST", "/v1/payment_intents/{intent}/confirm")
def intent_confirm_call(call: Call) -> Object:
    intent = call.store.get("payment_intent", call.id)
    if name := call.params.get("payment_method"):
        intent["payment_method"] = method_named(call.store, name)["id"]
    intent_confirm(call.store, intent)
    return intent


@handles("POST", "/v1/payment_intents/{intent}/cancel")
def intent_cancel(call: Call) -> Object:
    intent = call.store.get("payment_intent", call.id)
    if intent["status"] in {"succeeded", "canceled", "processing"}:
        raise Refused(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}.",
            code="payment_intent_unexpected_state",
        )
    intent["status"] = "canceled"
    call.store.emit("payment_intent.canceled", intent)
    return intent


def intent_make(store: Store, amount: int, currency: str, **fields: Any) -> Object:
    currency = currency.lower()
    if amount > MOST:
        raise Refused(
            "Amount must be no more than $999,999.99", code="amount_too_large", param="amount"
        )
    if amount < LEAST.get(currency, 1):
        raise Refused(
            f"The Checkout Session's total amount due must add up to at least {LEAST[currency]} "
            f"{currency}"
            if currency in LEAST
            else "Invalid positive integer",
            code="amount_too_small",
            param="amount",
        )
    intent = store.add(
        "payment_intent",
        amount=amount,
        amount_received=0,
        currency=currency,
        status="requires_payment_method",
        payment_method=None,
        latest_charge=None,
        last_payment_error=None,
        client_secret="pi_secret",
        next_action=None,
        **{"customer": None, "metadata": {}, "transfer_group": None, **fields},
    )
    store.emit("payment_intent.created", intent)
    return intent


def intent_confirm(store: Store, intent: Object, *, off_session: bool = False) -> None:
    """Charge its payment method. Raises Refused for a decline, which the intent remembers."""
    if intent["status"] in {"succeeded", "canceled", "processing"}:
        raise Refused(
            "You cannot confirm this PaymentIntent because it has already succeeded.",
            code="payment_intent_unexpected_state",
        )
    method = store.get("payment_method", intent["payment_method"], "payment_method")
    outcome = method["_outcome"]
    if intent["customer"] and intent.get("setup_future_usage"):
        method_keep(store, method, intent["customer"])
    if outcome == "authentication_required" and not off_session:
        intent["status"] = "requires_action"
        store.emit("payment_intent.requires_action", intent)
    elif outcome in DECLINES:
        _decline(store, intent, outcome)
    elif outcome in SLOW:
        intent["status"] = "processing"
        store.emit("payment_intent.processing", intent)
        store.later(store.now() + BANK_SECONDS, outcome, intent["id"])
    else:
        intent_succeed(store, intent)


def intent_succeed(store: Store, intent: Object) -> Object:
    """The money is on its way to the balance; returns the charge."""
    from tests.stripe_server.resources.checkout import session_follow
    from tests.stripe_server.resources.disputes import dispute_open
    from tests.stripe_server.resources.invoices import invoice_follow

    charge = _charge(store, intent, "succeeded")
    outcome = store.get("payment_method", intent["payment_method"])["_outcome"]
    change = balance_change(
        store,
        "charge" if charge["_card"] else "payment",
        intent["amount"],
        intent["currency"],
        source=charge["id"],
        fee=fee_of(intent["amount"], intent["currency"]),
        at_once=outcome == "bypass_pending",
    )
    charge["balance_transaction"] = change["id"]
    intent.update(
        status="succeeded", amount_received=intent["amount"], next_action=None,
        last_payment_error=None,
    )  # fmt: skip
    store.emit("charge.succeeded", charge)
    store.emit("payment_intent.succeeded", intent)
    invoice_follow(store, intent)
    session_follow(store, intent)
    if outcome == "dispute":
        dispute_open(store, charge)
    return charge


def intent_fail(store: Store, intent: Object, decline_code: str = "debit_not_authorized") -> None:
    """A slow payment did not come."""
    from tests.stripe_server.resources.checkout import session_follow
    from tests.stripe_server.resources.invoices import invoice_follow

    _charge(store, intent, "failed")
    intent.update(
        status="requires_payment_method",
        last_payment_error={"code": "payment_intent_payment_attempt_failed",
                            "decline_code": decline_code, "type": "card_error",
                            "message": "The payment failed."},
    )  # fmt: skip
    store.emit("payment_intent.payment_failed", intent)
    invoice_follow(store, intent)
    session_follow(store, intent)


def charge_fail_late(store: Store, charge: Object) -> None:
    """A bank debit that had succeeded is returned: the money leaves the balance again."""
    charge.update(status="failed", failure_code="charge_exceeds_source_limit", paid=False)
    balance_change(
        store, "payment_reversal", -charge["amount"], charge["currency"], source=charge["id"]
    )
    intent = store.get("payment_intent", charge["payment_intent"])
    intent["status"] = "requires_payment_method"
    store.emit("charge.failed", charge)
    store.emit("payment_intent.payment_failed", intent)


def _decline(store: Store, intent: Object, decline_code: str) -> None:
    charge = _charge(store, intent, "failed")
    code, message = DECLINES[decline_code]
    intent.update(
        status="requires_payment_method",
        last_payment_error={"code": code, "decline_code": decline_code, "message": message,
                            "type": "card_error", "charge": charge["id"]},
    )  # fmt: skip
    store.emit("charge.failed", charge)
    store.emit("payment_intent.payment_failed", intent)
    raise declined(code, decline_code, message, charge=charge["id"])


def _charge(store: Store, intent: Object, status: str) -> Object:
    method = store.get("payment_method", intent["payment_method"])
    charge = store.add(
        "charge",
        amount=intent["amount"],
        amount_captured=intent["amount"] if status == "succeeded" else 0,
        amount_refunded=0,
        balance_transaction=None,
        captured=status == "succeeded",
        currency=intent["currency"],
        customer=intent["customer"],
        dispute=None,
        disputed=False,
        failure_code=None,
        metadata=dict(intent["metadata"]),
        paid=status == "succeeded",
        payment_intent=intent["id"],
        payment_method=method["id"],
        receipt_url="https://pay.stripe.test/receipts/1",
        refunded=False,
        status=status,
        transfer=None,
        transfer_group=intent["transfer_group"],
        _card=method["type"] == "card",
    )
    intent["latest_charge"] = charge["id"]
    return charge
