"""Subscriptions: an invoice at the start of each period. https://docs.stripe.com/billing

Proration is not modelled: `proration_behavior` must be `none`.
"""

from __future__ import annotations

import calendar
import datetime as dt
from typing import Any

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, lists, metadata, retrieves
from tests.stripe_server.resources.customers import customer_alive
from tests.stripe_server.resources.invoice_payments import invoice_charge
from tests.stripe_server.resources.invoices import (
    invoice_finalize,
    invoice_make,
    line_add,
    subscription_of,
)
from tests.stripe_server.resources.prices import line_amount
from tests.stripe_server.store import Object, Store

DAY = 86_400
RETRIES = 3

lists("/v1/subscriptions", "subscription", "customer", "status")
retrieves("/v1/subscriptions/{subscription_exposed_id}", "subscription")


@handles("POST", "/v1/subscriptions")
def subscription_create(call: Call) -> Object:
    params, store = call.params, call.store
    customer = customer_alive(call, params.get("customer", ""))
    clock = store.clock_of(customer["id"])
    now = store.now(clock)
    anchor = params.get("billing_cycle_anchor", now)
    if anchor > now and params.get("proration_behavior") != "none":
        raise Refused("This server does not prorate: set `proration_behavior=none`.")
    items = [_item(store, item, now, anchor) for item in params.get("items", [])]
    if not items:
        raise Refused("Missing required param: items.", code="parameter_missing", param="items")
    made = store.add(
        "subscription",
        at=now,
        customer=customer["id"],
        status="incomplete",
        billing_cycle_anchor=anchor,
        cancel_at_period_end=params.get("cancel_at_period_end", False),
        canceled_at=None,
        ended_at=None,
        collection_method=params.get("collection_method", "charge_automatically"),
        currency=items[0]["price"]["currency"],
        default_payment_method=params.get("default_payment_method"),
        _off_session=params.get("off_session"),
        items={"object": "list", "data": items, "has_more": False, "url": ""},
        latest_invoice=None,
        test_clock=clock,
        metadata=metadata({}, params.get("metadata")),
    )
    store.emit("customer.subscription.created", made)
    _bill(store, made, extra=params.get("add_invoice_items", []), behavior=params.get(
        "payment_behavior", "allow_incomplete"), prorated=anchor > now)  # fmt: skip
    store.later(items[0]["current_period_end"], "subscription_renew", made["id"], clock)
    return made


@handles("POST", "/v1/subscriptions/{subscription_exposed_id}")
def subscription_update(call: Call) -> Object:
    found = _alive(call)
    found.update(call.given("cancel_at_period_end", "default_payment_method"))
    found["metadata"] = metadata(found["metadata"], call.params.get("metadata"))
    call.store.emit("customer.subscription.updated", found)
    return found


@handles("DELETE", "/v1/subscriptions/{subscription_exposed_id}")
def subscription_cancel(call: Call) -> Object:
    found = _alive(call)
    subscription_end(call.store, found)
    return found


def subscription_end(store: Store, subscription: Object) -> None:
    now = store.now(subscription["test_clock"])
    subscription.update(status="canceled", canceled_at=now, ended_at=now)
    store.emit("customer.subscription.deleted", subscription)


def subscription_renew(store: Store, subscription_id: str) -> None:
    """A period is over: end it if that was asked for, else bill the next one."""
    subscription = store.get("subscription", subscription_id)
    if subscription["status"] == "canceled":
        return
    if subscription["cancel_at_period_end"]:
        subscription_end(store, subscription)
        return
    for item in subscription["items"]["data"]:
        start = item["current_period_end"]
        end = _next(item["price"], start, subscription["billing_cycle_anchor"])
        item.update(current_period_start=start, current_period_end=end)
    end = subscription["items"]["data"][0]["current_period_end"]
    store.later(end, "subscription_renew", subscription_id, subscription["test_clock"])
    _bill(store, subscription, extra=[], behavior="allow_incomplete", prorated=False)
    store.emit("customer.subscription.updated", subscription)


def subscription_retry(store: Store, invoice_id: str) -> None:
    """Try a renewal's invoice again; after the last time the subscription ends.

    https://docs.stripe.com/billing/revenue-recovery/smart-retries
    """
    invoice = store.get("invoice", invoice_id)
    subscription = store.get("subscription", subscription_of(invoice))
    if invoice["status"] != "open" or subscription["status"] == "canceled":
        return
    try:
        invoice_charge(store, invoice, subscription["default_payment_method"])
    except Refused:
        if invoice["attempt_count"] > RETRIES:
            subscription_end(store, subscription)
        else:
            _retry_later(store, subscription, invoice)


def subscription_follow(store: Store, invoice: Object) -> None:
    """A paid invoice makes its subscription active."""
    name = subscription_of(invoice)
    if name is None:
        return
    subscription = store.get("subscription", name)
    if subscription["status"] in {"incomplete", "past_due"}:
        subscription["status"] = "active"
        store.emit("customer.subscription.updated", subscription)


def _bill(
    store: Store, subscription: Object, *, extra: list[Any], behavior: str, prorated: bool
) -> None:
    is_first = subscription["latest_invoice"] is None
    invoice = invoice_make(
        store, subscription["customer"], subscription["currency"],
        auto_advance=False,
        collection_method=subscription["collection_method"],
        billing_reason="subscription_create" if is_first else "subscription_cycle",
        default_payment_method=subscription["default_payment_method"],
        parent={"type": "subscription_details", "quote_details": None,
                "subscription_details": {"subscription": subscription["id"],
                                         "metadata": dict(subscription["metadata"])}},
    )  # fmt: skip
    subscription["latest_invoice"] = invoice["id"]
    for item in subscription["items"]["data"]:
        period = {"start": item["current_period_start"], "end": item["current_period_end"]}
        amount = 0 if prorated else line_amount(
            store, {"price": item["price"]["id"], "quantity": item["quantity"]}, "items"
        )[0]  # fmt: skip
        line_add(store, invoice, amount, description="Subscription", period=period)
    for number, one in enumerate(extra):
        amount, _ = line_amount(store, one, f"add_invoice_items[{number}]")
        now = invoice["created"]
        line_add(store, invoice, amount, description=None, period={"start": now, "end": now})
    invoice_finalize(store, invoice)
    if invoice["status"] == "open" and behavior != "default_incomplete":
        _collect(store, subscription, invoice, behavior, is_first=is_first)


def _collect(
    store: Store, subscription: Object, invoice: Object, behavior: str, *, is_first: bool
) -> None:
    try:
        invoice_charge(store, invoice, subscription["default_payment_method"])
    except Refused:
        if behavior == "error_if_incomplete":  # as if it had never been
            for kind, one in (("subscription", subscription), ("invoice", invoice)):
                del store.objects(kind)[one["id"]]
            raise
        if not is_first:
            subscription["status"] = "past_due"
            _retry_later(store, subscription, invoice)


def _retry_later(store: Store, subscription: Object, invoice: Object) -> None:
    clock = subscription["test_clock"]
    store.later(store.now(clock) + 3 * DAY, "subscription_retry", invoice["id"], clock)


def _item(store: Store, given: Any, now: int, anchor: int) -> Object:
    price = store.get("price", given.get("price"), "items[0][price]")
    if price["recurring"] is None:
        raise Refused(
            f"The price specified is set to `type=one_time` but this field only accepts prices "
            f"with `type=recurring`. ({price['id']})",
            param="items[0][price]",
        )
    end = anchor if anchor > now else _next(price, now, now)
    return store.add(
        "subscription_item",
        price=dict(price),
        quantity=given.get("quantity", 1),
        current_period_start=now,
        current_period_end=end,
        metadata={},
    )


def _next(price: Object, start: int, anchor: int) -> int:
    """One interval later: on the anchor's day of the month, or on the month's last.

    https://docs.stripe.com/billing/subscriptions/billing-cycle
    """
    every, unit = price["recurring"]["interval_count"], price["recurring"]["interval"]
    if unit in {"day", "week"}:
        return int(start + every * (DAY if unit == "day" else 7 * DAY))
    at, day = (dt.datetime.fromtimestamp(t, tz=dt.UTC) for t in (start, anchor))
    months = at.month - 1 + every * (1 if unit == "month" else 12)
    year, month = at.year + months // 12, months % 12 + 1
    last = calendar.monthrange(year, month)[1]
    return int(at.replace(year=year, month=month, day=min(day.day, last)).timestamp())


def _alive(call: Call) -> Object:
    found = call.store.get("subscription", call.id)
    if found["status"] == "canceled":
        raise Refused(f"No such subscription: {call.id}", status=404, code="resource_missing",
                      param="id")  # fmt: skip
    return found
