"""Payment methods, and the test ones that decide what a payment comes to.

https://docs.stripe.com/testing#cards
"""

from __future__ import annotations

from typing import Any

from tests.stripe_server.errors import Refused, declined, missing
from tests.stripe_server.handling import Call, handles, listed, metadata, retrieves
from tests.stripe_server.resources.customers import customer_alive
from tests.stripe_server.store import Object, Store

# what becomes of a payment by it: "ok", a decline code, or one of the words below
TOKENS = {
    "pm_card_visa": "ok",
    "pm_card_mastercard": "ok",
    "pm_card_amex": "ok",
    "pm_card_bypassPending": "bypass_pending",
    "pm_card_createDispute": "dispute",
    "pm_card_authenticationRequired": "authentication_required",
    "pm_card_chargeCustomerFail": "customer_fail",
    "pm_card_refundFail": "refund_fail",
    "pm_card_pendingRefund": "refund_pending",
    "pm_card_visa_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_visa_chargeDeclinedLostCard": "lost_card",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
    "pm_card_chargeDeclinedFraudulent": "fraudulent",
    "pm_card_chargeDeclinedProcessingError": "processing_error",
    "pm_usBankAccount_success": "bank_success",
    "pm_usBankAccount_insufficientFunds": "bank_failure",
    "pm_sepaDebit_success": "bank_success",
    "pm_sepaDebit_failure": "bank_failure",
}
NUMBERS = {
    "4242424242424242": "ok",
    "4000000000000077": "bypass_pending",
    "4000000000000259": "dispute",
    "4000000000000002": "generic_decline",
    "4000000000000341": "customer_fail",
    "4000000000009995": "insufficient_funds",
    "4000000000000069": "expired_card",
    "4000002760003184": "authentication_required",
    "4000000000005126": "refund_fail",
    "4000000000007726": "refund_pending",
    "5555555555554444": "ok",
    "378282246310005": "ok",
}
DECLINES = {
    "generic_decline": ("card_declined", "Your card was declined."),
    "customer_fail": ("card_declined", "Your card was declined."),  # can be saved, not charged
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
SAVED_ALL_THE_SAME = frozenset({"customer_fail", "authentication_required"})
SLOW = frozenset({"bank_success", "bank_failure"})

retrieves("/v1/payment_methods/{payment_method}", "payment_method")


@handles("GET", "/v1/payment_methods")
def methods_list(call: Call) -> Object:
    return listed(call, "payment_method", "customer", "type")


@handles("GET", "/v1/customers/{customer}/payment_methods")
def methods_of_customer(call: Call) -> Object:
    return listed(call, "payment_method", "type", customer=call.id)


@handles("POST", "/v1/payment_methods")
def method_create(call: Call) -> Object:
    card = call.params.get("card") or {}
    if "token" in card:
        raise Refused("Use a test payment method (pm_card_…) or a test number", param="card[token]")
    number = str(card.get("number", "4242424242424242"))
    if number not in NUMBERS:
        raise Refused(
            "Your card number is incorrect.",
            status=402,
            kind="card_error",
            code="incorrect_number",
            param="number",
        )
    made = _make(call.store, str(call.params.get("type", "card")), NUMBERS[number], number)
    made["billing_details"].update(call.params.get("billing_details") or {})
    made["metadata"] = metadata({}, call.params.get("metadata"))
    if "exp_month" in card:
        made["card"].update(exp_month=card["exp_month"], exp_year=card["exp_year"])
    return made


@handles("POST", "/v1/payment_methods/{payment_method}/attach")
def method_attach(call: Call) -> Object:
    customer = customer_alive(call, call.params["customer"])
    method = method_named(call.store, call.id)
    if method["customer"] not in {None, customer["id"]}:
        raise Refused(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    method_usable(method, customer["id"])
    method_savable(method)
    return method_keep(call.store, method, customer["id"])


@handles("POST", "/v1/payment_methods/{payment_method}/detach")
def method_detach(call: Call) -> Object:
    method = call.store.get("payment_method", call.id)
    if method["customer"] is None:
        raise Refused(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible."
        )
    method.update(customer=None, _is_spent=True)
    call.store.emit("payment_method.detached", method)
    return method


@handles("POST", "/v1/payment_methods/{payment_method}")
def method_update(call: Call) -> Object:
    method = call.store.get("payment_method", call.id)
    method["metadata"] = metadata(method["metadata"], call.params.get("metadata"))
    method["billing_details"].update(call.params.get("billing_details") or {})
    call.store.emit("payment_method.updated", method)
    return method


def method_named(store: Store, name: str, param: str = "payment_method") -> Object:
    """A payment method by id; a test token makes a new one."""
    if name in TOKENS:
        bank = "us_bank_account" if "usBank" in name else "sepa_debit" if "sepa" in name else "card"
        return _make(store, bank, TOKENS[name], "4242")
    found = store.objects("payment_method").get(name)
    if found is None:
        raise missing("PaymentMethod", name, param)
    return found


def method_usable(method: Object, customer: str | None) -> None:
    """Raises Refused for one that was detached, or is another customer's."""
    if method.get("_is_spent"):
        raise Refused(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
            "attachment, shared with a connected account without Customer attachment, or was "
            "detached from a Customer. It may not be used again."
        )
    if method["customer"] is not None and method["customer"] != customer:
        raise Refused(
            f"The payment method {method['id']} belongs to a Customer. Please include the Customer "
            "in the `customer` parameter.",
            param="payment_method",
        )


def method_default(store: Store, name: str | None, customer: str) -> None:
    """Raises Refused for a default that is not attached to its customer (any more)."""
    found = store.objects("payment_method").get(name or "", {})
    if name and found.get("customer") != customer:
        raise Refused(
            f"The customer does not have a payment method with the ID {name}. The payment method "
            "must be attached to the customer.",
            code="resource_missing",
            param="default_payment_method",
        )


def method_savable(method: Object) -> None:
    """Raises Refused for a card that its bank declines as it is saved."""
    if method["_outcome"] in DECLINES.keys() - SAVED_ALL_THE_SAME:
        raise declined(*decline_of(method["_outcome"]))


def decline_of(outcome: str) -> tuple[str, str, str]:
    """(code, decline code, message). https://docs.stripe.com/declines/codes"""
    code, message = DECLINES[outcome]
    return code, "generic_decline" if outcome == "customer_fail" else outcome, message


def method_keep(store: Store, method: Object, customer: str) -> Object:
    if method["customer"] != customer:
        method["customer"] = customer
        store.emit("payment_method.attached", method)
    return method


def _make(store: Store, kind: str, outcome: str, number: str) -> Object:
    card: Object = {"brand": "visa", "exp_month": 12, "exp_year": 2040, "country": "US"}
    bank: Object = {"bank_name": "STRIPE TEST BANK", "country": "US"}
    details: Any = {kind: {**(card if kind == "card" else bank), "last4": number[-4:]}}
    return store.add(
        "payment_method",
        type=kind,
        customer=None,
        metadata={},
        billing_details={"address": None, "email": None, "name": None, "phone": None},
        _outcome=outcome,
        **details,
    )
