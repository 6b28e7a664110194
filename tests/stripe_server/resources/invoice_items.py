"""Invoice items: lines to be. https://docs.stripe.com/api/invoiceitems"""

from __future__ import annotations

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, lists, metadata, retrieves
from tests.stripe_server.resources.currencies import currency_check
from tests.stripe_server.resources.customers import customer_alive
from tests.stripe_server.resources.invoices import line_add, lines_sum
from tests.stripe_server.resources.prices import line_amount
from tests.stripe_server.store import Object, Store

lists("/v1/invoiceitems", "invoiceitem", "customer", "invoice")
retrieves("/v1/invoiceitems/{invoiceitem}", "invoiceitem")


@handles("POST", "/v1/invoiceitems")
def item_create(call: Call) -> Object:
    params, store = call.params, call.store
    customer = customer_alive(call, params.get("customer", ""))
    amount, currency = _item_amount(call)
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
        quantity=params.get("quantity", 1),
        period=params.get("period") or {"start": store.now(), "end": store.now()},
        metadata=metadata({}, params.get("metadata")),
    )
    if invoice is not None:
        item_attach(store, item, invoice)
    store.emit("invoiceitem.created", item)
    return item


@handles("POST", "/v1/invoiceitems/{invoiceitem}")
def item_update(call: Call) -> Object:
    item = _editable(call)
    item.update(call.given("amount", "description", "period"))
    item["metadata"] = metadata(item["metadata"], call.params.get("metadata"))
    if item["invoice"]:
        invoice = call.store.get("invoice", item["invoice"])
        for line in invoice["lines"]["data"]:
            if line["_item"] == item["id"]:
                line.update({n: item[n] for n in ("amount", "description", "period", "metadata")})
        lines_sum(invoice)
    call.store.emit("invoiceitem.updated", item)
    return item


@handles("DELETE", "/v1/invoiceitems/{invoiceitem}")
def item_delete(call: Call) -> Object:
    item = _editable(call)
    if item["invoice"]:
        invoice = call.store.get("invoice", item["invoice"])
        rows = invoice["lines"]["data"]
        rows[:] = [line for line in rows if line["_item"] != item["id"]]
        lines_sum(invoice)
    del call.store.objects("invoiceitem")[item["id"]]
    return {"id": item["id"], "object": "invoiceitem", "deleted": True}


def item_attach(store: Store, item: Object, invoice: Object) -> None:
    item["invoice"] = invoice["id"]
    line_add(
        store, invoice, item["amount"], description=item["description"], period=item["period"],
        quantity=item["quantity"], item=item["id"], given=dict(item["metadata"]),
    )  # fmt: skip


def _item_amount(call: Call) -> tuple[int, str]:
    params = call.params
    if "amount" in params:
        if "currency" not in params:
            raise _missing("currency")
        return params["amount"], currency_check(params["currency"])
    quantity = {"quantity": params.get("quantity", 1)}
    if price := (params.get("pricing") or {}).get("price"):
        return line_amount(call.store, {**quantity, "price": price}, "pricing")
    if data := params.get("price_data"):
        return line_amount(call.store, {**quantity, "price_data": data}, "")
    if "unit_amount_decimal" not in params:
        raise _missing("amount")
    if "currency" not in params:
        raise _missing("currency")
    data = {name: params[name] for name in ("currency", "unit_amount_decimal")}
    return line_amount(call.store, {**quantity, "price_data": data}, "")


def _missing(name: str) -> Refused:
    return Refused(f"Missing required param: {name}.", code="parameter_missing", param=name)


def _editable(call: Call) -> Object:
    item = call.store.get("invoiceitem", call.id)
    if item["invoice"] and call.store.get("invoice", item["invoice"])["status"] != "draft":
        raise Refused(
            "This invoice item is part of an invoice that is no longer a draft.",
            code="invoice_not_editable",
        )
    return item
