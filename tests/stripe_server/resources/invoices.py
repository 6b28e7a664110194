"""Invoices: draft → open → paid | void | uncollectible, paid by one payment or several.

https://docs.stripe.com/invoicing/overview#invoice-statuses
"""

from __future__ import annotations

from typing import Any

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, listed, lists, metadata, retrieves
from tests.stripe_server.resources.customers import customer_alive
from tests.stripe_server.resources.payment_methods import method_named
from tests.stripe_server.resources.payments import intent_confirm, intent_make
from tests.stripe_server.resources.prices import line_amount
from tests.stripe_server.store import Object, Store

HOUR = 3600
_DEFAULTS = {"parent": None, "billing_reason": "manual", "default_payment_method": None}

lists("/v1/invoices", "invoice", "customer", "status", "subscription", "collection_method")
lists("/v1/invoiceitems", "invoiceitem", "customer", "invoice")
lists("/v1/invoice_payments", "invoice_payment", "invoice", "status")
retrieves("/v1/invoices/{invoice}", "invoice")
retrieves("/v1/invoiceitems/{invoiceitem}", "invoiceitem")
retrieves("/v1/invoice_payments/{invoice_payment}", "invoice_payment")


@handles("POST", "/v1/invoices")
def invoice_create(call: Call) -> Object:
    params = call.params
    customer = customer_alive(call, params.get("customer", ""))
    method = params.get("collection_method", "charge_automatically")
    if method == "send_invoice" and not ({"days_until_due", "due_date"} & params.keys()):
        raise Refused(
            "If invoice collection method is 'send_invoice', you must specify either "
            "'days_until_due' or 'due_date'.",
            code="parameter_missing",
            param="due_date",
        )
    invoice = invoice_make(
        call.store,
        customer["id"],
        params.get("currency", "usd").lower(),
        auto_advance=params.get("auto_advance", False),
        collection_method=method,
        description=params.get("description"),
        custom_fields=params.get("custom_fields"),
        default_payment_method=params.get("default_payment_method"),
        metadata=metadata({}, params.get("metadata")),
        _days=params.get("days_until_due", 0),
    )
    if params.get("pending_invoice_items_behavior", "exclude") == "include":
        for item in call.store.where("invoiceitem", customer=customer["id"], invoice=None):
            _attach(call.store, item, invoice)
    return invoice


@handles("POST", "/v1/invoices/{invoice}")
def invoice_update(call: Call) -> Object:
    invoice = call.store.get("invoice", call.id)
    invoice.update(call.given("auto_advance", "description", "default_payment_method"))
    invoice["metadata"] = metadata(invoice["metadata"], call.params.get("metadata"))
    call.store.emit("invoice.updated", invoice)
    return invoice


@handles("DELETE", "/v1/invoices/{invoice}")
def invoice_delete(call: Call) -> Object:
    invoice = _in_state(call, "draft")
    del call.store.objects("invoice")[invoice["id"]]
    return {"id": invoice["id"], "object": "invoice", "deleted": True}


@handles("POST", "/v1/invoiceitems")
def item_create(call: Call) -> Object:
    params, store = call.params, call.store
    customer = customer_alive(call, params.get("customer", ""))
    amount, currency = _item_amount(store, params)
    invoice = store.get("invoice", params["invoice"], "invoice") if "invoice" in params else None
    if invoice is not None and invoice["status"] != "draft":
        raise Refused(
            "Invoices that are no longer drafts can't be modified.",
            code="invoice_not_editable",
            param="invoice",
        )
    if invoice is not None and invoice["currency"] != currency:
        raise Refused(
            f"The currency of the invoice item ({currency}) is not the invoice's "
            f"({invoice['currency']}).",
            param="currency",
        )
    item = store.add(
        "invoiceitem",
        amount=amount,
        currency=currency,
        customer=customer["id"],
        description=params.get("description"),
        invoice=None,
        period=params.get("period") or {"start": store.now(), "end": store.now()},
        metadata=metadata({}, params.get("metadata")),
    )
    if invoice is not None:
        _attach(store, item, invoice)
    store.emit("invoiceitem.created", item)
    return item


@handles("DELETE", "/v1/invoiceitems/{invoiceitem}")
def item_delete(call: Call) -> Object:
    item = call.store.get("invoiceitem", call.id)
    if item["invoice"] and call.store.get("invoice", item["invoice"])["status"] != "draft":
        raise Refused("This invoice item is part of an invoice that is no longer a draft.")
    del call.store.objects("invoiceitem")[item["id"]]
    return {"id": item["id"], "object": "invoiceitem", "deleted": True}


@handles("POST", "/v1/invoices/{invoice}/finalize")
def invoice_finalize_call(call: Call) -> Object:
    invoice = _in_state(call, "draft")
    if "auto_advance" in call.params:
        invoice["auto_advance"] = call.params["auto_advance"]
    invoice_finalize(call.store, invoice)
    return invoice


@handles("POST", "/v1/invoices/{invoice}/pay")
def invoice_pay_call(call: Call) -> Object:
    invoice = _in_state(call, "open", "uncollectible")
    if call.params.get("paid_out_of_band"):
        invoice["amount_paid_out_of_band"] = invoice["amount_remaining"]
        invoice_paid(call.store, invoice)
        return invoice
    invoice_charge(call.store, invoice, call.params.get("payment_method"))
    return invoice


@handles("POST", "/v1/invoices/{invoice}/void")
def invoice_void(call: Call) -> Object:
    invoice = _in_state(call, "open", "uncollectible")
    if invoice["amount_paid"]:
        raise Refused("You can't void an invoice that has been partly paid.")
    invoice["status"] = "void"
    for payment in _payments(call.store, invoice, "open"):
        payment["status"] = "canceled"
    call.store.emit("invoice.voided", invoice)
    return invoice


@handles("POST", "/v1/invoices/{invoice}/mark_uncollectible")
def invoice_uncollectible(call: Call) -> Object:
    invoice = _in_state(call, "open")
    invoice["status"] = "uncollectible"
    call.store.emit("invoice.marked_uncollectible", invoice)
    return invoice


@handles("POST", "/v1/invoices/{invoice}/attach_payment")
def invoice_attach(call: Call) -> Object:
    """https://docs.stripe.com/api/invoices/attach_payment"""
    invoice = _in_state(call, "open", "uncollectible")
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


@handles("GET", "/v1/invoices/{invoice}/lines")
def invoice_lines(call: Call) -> Object:
    return listed(call, "line_item", invoice=call.id)


def invoice_make(store: Store, customer: str, currency: str, **fields: Any) -> Object:
    clock = store.clock_of(customer)
    invoice = store.add(
        "invoice",
        at=store.now(clock),
        customer=customer,
        currency=currency,
        status="draft",
        number=None,
        total=0,
        subtotal=0,
        amount_due=0,
        amount_paid=0,
        amount_remaining=0,
        amount_paid_out_of_band=0,
        attempt_count=0,
        attempted=False,
        hosted_invoice_url=None,
        invoice_pdf=None,
        lines=_list_of([]),
        payments=_list_of([]),
        test_clock=clock,
        post_payment_credit_notes_amount=0,
        pre_payment_credit_notes_amount=0,
        **{**_DEFAULTS, "metadata": {}, **fields},
    )
    store.emit("invoice.created", invoice)
    if invoice["auto_advance"]:
        store.later(invoice["created"] + HOUR, "invoice_finalize", invoice["id"], clock)
    return invoice


def line_add(
    store: Store, invoice: Object, amount: int, *, description: str | None, period: Any
) -> None:
    line = store.add(
        "line_item",
        amount=amount,
        currency=invoice["currency"],
        description=description,
        invoice=invoice["id"],
        period=period,
        quantity=1,
    )
    invoice["lines"]["data"].append(line)
    for name in ("total", "subtotal", "amount_due", "amount_remaining"):
        invoice[name] += amount


def invoice_finalize(store: Store, invoice: Object) -> None:
    """Numbered and owed; with nothing to pay, paid."""
    if invoice["total"] < 0:
        raise Refused("This server keeps no customer balance: the total is below zero.")
    invoice.update(
        status="open",
        number=f"LOCAL-{store.number():04d}",
        hosted_invoice_url=f"https://invoice.stripe.test/i/{invoice['id']}",
        invoice_pdf=f"https://invoice.stripe.test/i/{invoice['id']}/pdf",
    )
    store.emit("invoice.finalized", invoice)
    if invoice["amount_remaining"] == 0:
        invoice_paid(store, invoice)
    elif invoice["auto_advance"] and invoice["collection_method"] == "charge_automatically":
        invoice_try(store, invoice["id"])


def invoice_try(store: Store, invoice_id: str) -> None:
    """Collect by itself; a decline is an event, not an error."""
    invoice = store.get("invoice", invoice_id)
    if invoice["status"] == "open":
        try:
            invoice_charge(store, invoice, None)
        except Refused:
            store.emit("invoice.updated", invoice)


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


def invoice_paid(store: Store, invoice: Object) -> None:
    from tests.stripe_server.resources.subscriptions import subscription_follow

    invoice.update(
        status="paid", amount_remaining=0, amount_paid=invoice["amount_due"],
        status_transitions={"paid_at": store.now(invoice["test_clock"])},
    )  # fmt: skip
    store.emit("invoice.payment_succeeded", invoice)
    store.emit("invoice.paid", invoice)
    subscription_follow(store, invoice)


def subscription_of(invoice: Object) -> str | None:
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    found: str | None = details.get("subscription")
    return found


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


def _item_amount(store: Store, params: Any) -> tuple[int, str]:
    if "amount" in params:
        if "currency" not in params:
            raise Refused("Missing required param: currency.", code="parameter_missing",
                          param="currency")  # fmt: skip
        return params["amount"], params["currency"].lower()
    if price := (params.get("pricing") or {}).get("price"):
        return line_amount(store, {**params, "price": price}, "pricing")
    if "unit_amount_decimal" in params:
        data = {
            "currency": params["currency"],
            "unit_amount_decimal": params["unit_amount_decimal"],
        }
        return line_amount(store, {**params, "price_data": data}, "")
    return line_amount(store, params, "")


def _attach(store: Store, item: Object, invoice: Object) -> None:
    item["invoice"] = invoice["id"]
    line_add(store, invoice, item["amount"], description=item["description"], period=item["period"])


def _in_state(call: Call, *states: str) -> Object:
    invoice = call.store.get("invoice", call.id)
    if invoice["status"] not in states:
        raise Refused(
            f"This invoice is {invoice['status']}; only one that is {' or '.join(states)} can be "
            "changed so.",
            code="invoice_not_editable" if states == ("draft",) else "invoice_already_finalized",
        )
    return invoice


def _list_of(data: list[Object]) -> Object:
    return {"object": "list", "data": data, "has_more": False, "url": ""}
