"""How an invoice is paid: by one payment or several, or out of band.

https://docs.stripe.com/invoicing/partial-payments
"""

from __future__ import annotations

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, lists, retrieves
from tests.stripe_server.resources.invoices import invoice_in_state, invoice_paid
from tests.stripe_server.resources.payment_methods import method_named
from tests.stripe_server.resources.payments import intent_confirm, intent_make
from tests.stripe_server.store import Object, Store

lists("/v1/invoice_payments", "invoice_payment", "invoice", "status")
retrieves("/v1/invoice_payments/{invoice_payment}", "invoice_payment")


@handles("POST", "/v1/invoices/{invoice}/pay")
def invoice_pay_call(call: Call) -> Object:
    invoice = invoice_in_state(call, "open", "uncollectible")
    call.given("off_session")  # by default it is
    if call.params.get("paid_out_of_band"):
        invoice_paid(call.store, invoice)
        return invoice
    invoice_charge(call.store, invoice, call.params.get("payment_method"))
    return invoice


@handles("POST", "/v1/invoices/{invoice}/attach_payment")
def invoice_attach(call: Call) -> Object:
    """https://docs.stripe.com/api/invoices/attach_payment"""
    invoice = invoice_in_state(call, "open", "uncollectible")
    store = call.store
    if name := call.params.get("payment_intent"):
        intent = store.get("payment_intent", name, "payment_intent")
        _payment(store, invoice, {"type": "payment_intent", "payment_intent": name},
                 intent["amount"])  # fmt: skip
        invoice_follow(store, intent)
    elif name := call.params.get("payment_record"):
        record = store.get("payment_record", name, "payment_record")
        amount = record["amount_guaranteed"]["value"]
        row = _payment(store, invoice, {"type": "payment_record", "payment_record": name}, amount)
        _apply(store, invoice, row, amount)
    else:
        raise Refused("You must provide one of `payment_intent` or `payment_record`.")
    return invoice


def invoice_charge(store: Store, invoice: Object, method_name: str | None) -> None:
    """Pay what is left at once. Raises Refused for a decline, or without a payment method."""
    customer = store.get("customer", invoice["customer"])
    name = (
        method_name
        or invoice["default_payment_method"]
        or customer["invoice_settings"]["default_payment_method"]
    )
    if not name:
        raise Refused(
            "There is no `default_payment_method` set on this Customer or Invoice. Please set one "
            "before paying.",
            code="invoice_payment_intent_requires_action",
        )
    intent = _open_intent(store, invoice)
    intent["payment_method"] = method_named(store, name)["id"]
    invoice["attempt_count"] += 1
    invoice["attempted"] = True
    try:
        intent_confirm(store, intent, off_session=True)
    except Refused:
        store.emit("invoice.payment_failed", invoice)
        raise


def invoice_follow(store: Store, intent: Object) -> None:
    """What becomes of an invoice when a payment of it has succeeded or failed."""
    for row in store.where("invoice_payment", status="open"):
        if row["payment"].get("payment_intent") == intent["id"]:
            invoice = store.get("invoice", row["invoice"])
            if intent["status"] == "succeeded":
                _apply(store, invoice, row, intent["amount_received"])
            else:
                store.emit("invoice.payment_failed", invoice)


def _open_intent(store: Store, invoice: Object) -> Object:
    """The intent that pays what is left: the one that waits, or a new one."""
    for row in _payments(store, invoice, "open"):
        if name := row["payment"].get("payment_intent"):
            waiting = store.get("payment_intent", name)
            if waiting["amount"] == invoice["amount_remaining"]:
                return waiting
            row["status"] = "canceled"
    intent = intent_make(
        store, invoice["amount_remaining"], invoice["currency"], customer=invoice["customer"],
        description=f"Payment for Invoice {invoice['number']}",
    )  # fmt: skip
    payment = {"type": "payment_intent", "payment_intent": intent["id"]}
    _payment(store, invoice, payment, intent["amount"])
    return intent


def _payment(store: Store, invoice: Object, payment: dict[str, str], amount: int) -> Object:
    row = store.add(
        "invoice_payment",
        invoice=invoice["id"],
        payment=payment,
        amount_requested=amount,
        amount_paid=None,
        currency=invoice["currency"],
        is_default=True,
        status="open",
    )
    invoice["payments"]["data"].append(row)
    return row


def _apply(store: Store, invoice: Object, row: Object, amount: int) -> None:
    applied = min(amount, invoice["amount_remaining"])
    row.update(status="paid", amount_paid=applied)
    invoice["amount_paid"] += applied
    invoice["amount_remaining"] -= applied
    store.emit("invoice_payment.paid", row)
    if invoice["amount_remaining"] == 0:
        invoice_paid(store, invoice)
    else:
        store.emit("invoice.updated", invoice)


def _payments(store: Store, invoice: Object, status: str) -> list[Object]:
    return list(store.where("invoice_payment", invoice=invoice["id"], status=status))
