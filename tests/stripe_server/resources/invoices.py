"""Invoices: draft → open → paid | void | uncollectible.

https://docs.stripe.com/invoicing/overview#invoice-statuses
"""

from __future__ import annotations

from typing import Any

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, listed, lists, metadata, retrieves
from tests.stripe_server.resources.currencies import LEAST, currency_check
from tests.stripe_server.resources.customers import customer_alive
from tests.stripe_server.store import Object, Store

HOUR, DAY = 3600, 86_400
_FIELDS = ("auto_advance", "description", "default_payment_method", "footer", "custom_fields")
_DEFAULTS = {"parent": None, "billing_reason": "manual", "default_payment_method": None,
             "due_date": None, "_days": None}  # fmt: skip

lists("/v1/invoices", "invoice", "customer", "status", "subscription", "collection_method")
retrieves("/v1/invoices/{invoice}", "invoice")


@handles("POST", "/v1/invoices")
def invoice_create(call: Call) -> Object:
    from tests.stripe_server.resources.invoice_items import item_attach
    from tests.stripe_server.resources.payment_methods import method_default

    params = call.params
    customer = customer_alive(call, params.get("customer", ""))
    method_default(call.store, params.get("default_payment_method"), customer["id"])
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
        currency_check(params.get("currency", "usd")),
        collection_method=method,
        due_date=params.get("due_date"),
        metadata=metadata({}, params.get("metadata")),
        _days=params.get("days_until_due"),
        **{"auto_advance": False, **call.given(*_FIELDS)},
    )
    if params.get("pending_invoice_items_behavior", "exclude") == "include":
        for item in call.store.where("invoiceitem", customer=customer["id"], invoice=None):
            if item["currency"] == invoice["currency"]:
                item_attach(call.store, item, invoice)
    return invoice


@handles("POST", "/v1/invoices/{invoice}")
def invoice_update(call: Call) -> Object:
    invoice = call.store.get("invoice", call.id)
    if invoice["status"] != "draft" and {"custom_fields", "footer"} & call.params.keys():
        raise Refused("Finalized invoices can't be updated in this way.")
    invoice.update(call.given(*_FIELDS))
    invoice["metadata"] = metadata(invoice["metadata"], call.params.get("metadata"))
    call.store.emit("invoice.updated", invoice)
    return invoice


@handles("DELETE", "/v1/invoices/{invoice}")
def invoice_delete(call: Call) -> Object:
    invoice = invoice_in_state(call, "draft")
    for item in call.store.where("invoiceitem", invoice=invoice["id"]):
        del call.store.objects("invoiceitem")[item["id"]]
    del call.store.objects("invoice")[invoice["id"]]
    call.store.emit("invoice.deleted", invoice)
    return {"id": invoice["id"], "object": "invoice", "deleted": True}


@handles("POST", "/v1/invoices/{invoice}/finalize")
def invoice_finalize_call(call: Call) -> Object:
    invoice = invoice_in_state(call, "draft")
    if "auto_advance" in call.params:
        invoice["auto_advance"] = call.params["auto_advance"]
    invoice_finalize(call.store, invoice)
    return invoice


@handles("POST", "/v1/invoices/{invoice}/send")
def invoice_send(call: Call) -> Object:
    """Finalises a draft. No mail leaves here."""
    invoice = invoice_in_state(call, "draft", "open")
    if invoice["collection_method"] != "send_invoice":
        raise Refused("You can only manually send an invoice if `collection_method=send_invoice`.")
    if invoice["status"] == "draft":
        invoice_finalize(call.store, invoice)
    call.store.emit("invoice.sent", invoice)
    return invoice


@handles("POST", "/v1/invoices/{invoice}/void")
def invoice_void(call: Call) -> Object:
    invoice = invoice_in_state(call, "open", "uncollectible")
    if invoice["amount_paid"]:
        raise Refused("You can't void an invoice that has been partly paid.")
    invoice["status"] = "void"
    _moved(call.store, invoice, "voided_at")
    for payment in call.store.where("invoice_payment", invoice=invoice["id"], status="open"):
        payment["status"] = "canceled"
    call.store.emit("invoice.voided", invoice)
    return invoice


@handles("POST", "/v1/invoices/{invoice}/mark_uncollectible")
def invoice_uncollectible(call: Call) -> Object:
    invoice = invoice_in_state(call, "open")
    invoice["status"] = "uncollectible"
    _moved(call.store, invoice, "marked_uncollectible_at")
    call.store.emit("invoice.marked_uncollectible", invoice)
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
        attempt_count=0,
        attempted=False,
        hosted_invoice_url=None,
        invoice_pdf=None,
        lines=_list_of([]),
        payments=_list_of([]),
        test_clock=clock,
        status_transitions=dict.fromkeys(
            ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
        ),
        post_payment_credit_notes_amount=0,
        pre_payment_credit_notes_amount=0,
        **{**_DEFAULTS, "metadata": {}, **fields},
    )
    store.emit("invoice.created", invoice)
    if invoice["auto_advance"]:
        store.later(invoice["created"] + HOUR, "invoice_finalize", invoice["id"], clock)
    return invoice


def line_add(
    store: Store,
    invoice: Object,
    amount: int,
    *,
    description: str | None,
    period: Any,
    quantity: int = 1,
    item: str | None = None,
    given: dict[str, str] | None = None,
) -> None:
    line = store.add(
        "line_item",
        amount=amount,
        currency=invoice["currency"],
        description=description,
        invoice=invoice["id"],
        period=period,
        quantity=quantity,
        metadata=given or {},
        _item=item,
    )
    invoice["lines"]["data"].append(line)
    lines_sum(invoice)


def lines_sum(invoice: Object) -> None:
    """What a draft comes to."""
    total = sum(line["amount"] for line in invoice["lines"]["data"])
    invoice.update(dict.fromkeys(("total", "subtotal", "amount_due", "amount_remaining"), total))


def invoice_finalize(store: Store, invoice: Object) -> None:
    """Numbered and owed; with nothing to pay, paid.

    So is one below the least charge: its customer owes it with the next one (`amount_due`,
    https://docs.stripe.com/api/invoices/object). That next one does not ask for it here.
    """
    if invoice["total"] < 0:
        raise Refused("This server keeps no customer balance: the total is below zero.")
    invoice.update(
        status="open",
        number=f"LOCAL-{store.number():04d}",
        hosted_invoice_url=store.page("i", invoice["id"]),
        invoice_pdf=f"{store.page('i', invoice['id'])}/pdf",
    )
    now = _moved(store, invoice, "finalized_at")
    if invoice["_days"] is not None:
        invoice["due_date"] = now + invoice["_days"] * DAY
    store.emit("invoice.finalized", invoice)
    if 0 < invoice["amount_remaining"] < LEAST.get(invoice["currency"], 1):
        store.get("customer", invoice["customer"])["balance"] += invoice["amount_remaining"]
        invoice.update(amount_due=0, amount_remaining=0)
    if invoice["amount_remaining"] == 0:
        invoice_paid(store, invoice)
    elif invoice["auto_advance"] and invoice["collection_method"] == "charge_automatically":
        invoice_try(store, invoice["id"])


def invoice_try(store: Store, invoice_id: str) -> None:
    """Collect by itself; a decline is an event, not an error."""
    from tests.stripe_server.resources.invoice_payments import invoice_charge

    invoice = store.get("invoice", invoice_id)
    if invoice["status"] == "open":
        try:
            invoice_charge(store, invoice, None)
        except Refused:
            store.emit("invoice.updated", invoice)


def invoice_paid(store: Store, invoice: Object) -> None:
    from tests.stripe_server.resources.subscriptions import subscription_follow

    invoice.update(
        status="paid", amount_remaining=0, amount_paid=invoice["amount_due"],
    )  # fmt: skip
    _moved(store, invoice, "paid_at")
    store.emit("invoice.payment_succeeded", invoice)
    store.emit("invoice.paid", invoice)
    subscription_follow(store, invoice)


def invoice_in_state(call: Call, *states: str) -> Object:
    invoice = call.store.get("invoice", call.id)
    if invoice["status"] not in states:
        raise Refused(
            f"This invoice is {invoice['status']}; only one that is {' or '.join(states)} can be "
            "changed so.",
            code="invoice_not_editable" if states == ("draft",) else "invoice_already_finalized",
        )
    return invoice


def subscription_of(invoice: Object) -> str | None:
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    found: str | None = details.get("subscription")
    return found


def _moved(store: Store, invoice: Object, name: str) -> int:
    """Note when it came into its state."""
    now = store.now(invoice["test_clock"])
    invoice["status_transitions"][name] = now
    return now


def _list_of(data: list[Object]) -> Object:
    return {"object": "list", "data": data, "has_more": False, "url": ""}
