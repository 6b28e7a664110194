"""Subscriptions: an invoice at the start of each period. https://docs.stripe.com/billing

Proration is not modelled: `proration_behavior` must be `none`.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.stripe_server.errors import Refused
from tests.stripe_server.handling import Call, handles, listed, metadata, retrieves
from tests.stripe_server.resources.customers import customer_alive
from tests.stripe_server.resources.invoice_payments import invoice_charge
from tests.stripe_server.resources.invoices import (
    invoice_finalize,
    invoice_make,
    line_add,
    subscription_of,
)
from tests.stripe_server.resources.meters import usage_of
from tests.stripe_server.resources.payment_methods import method_default
from tests.stripe_server.resources.prices import line_amount, price_make
from tests.stripe_server.store import Object, Store

DAY = 86_400
RETRIES = 3
INCOMPLETE_S = 23 * 3600
DRAFT_S = 3600
ENDED = frozenset({"canceled", "incomplete_expired"})
_FIELDS = (
    "customer", "items", "billing_cycle_anchor", "proration_behavior", "cancel_at_period_end",
    "collection_method", "default_payment_method", "metadata", "add_invoice_items",
    "payment_behavior", "days_until_due", "description",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A line of a subscription's invoice, in the smallest unit."""

    amount: int
    description: str | None
    period: Object


retrieves("/v1/subscriptions/{subscription_exposed_id}", "subscription")


@handles("GET", "/v1/subscriptions")
def subscriptions_list(call: Call) -> Object:
    """Those that ended are left out unless they are asked for.

    https://docs.stripe.com/api/subscriptions/list
    """
    asked = call.params.get("status")
    ended = ("canceled", "incomplete_expired")

    def wanted(one: Object) -> bool:
        if asked is None:
            return one["status"] != "canceled"
        return asked == "all" or one["status"] in (ended if asked == "ended" else (asked,))

    return listed(call, "subscription", "customer", also=wanted)


@handles("POST", "/v1/subscriptions")
def subscription_create(call: Call) -> Object:
    customer = customer_alive(call, call.params.get("customer", ""))
    method_default(call.store, call.params.get("default_payment_method"), customer["id"])
    call.given("off_session")  # by default it is
    return subscription_make(call.store, call.given(*_FIELDS))


def subscription_make(store: Store, params: Object) -> Object:
    """Start it and bill its first period. Raises Refused as `payment_behavior` says."""
    customer = store.get("customer", params["customer"], "customer")
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
        days_until_due=params.get("days_until_due"),
        description=params.get("description"),
        default_payment_method=params.get("default_payment_method"),
        items={"object": "list", "data": items, "has_more": False, "url": ""},
        latest_invoice=None,
        test_clock=clock,
        metadata=metadata({}, params.get("metadata")),
    )
    store.emit("customer.subscription.created", made)
    _bill(store, made, extra=params.get("add_invoice_items", []), behavior=params.get(
        "payment_behavior", "allow_incomplete"), prorated=anchor > now)  # fmt: skip
    store.later(items[0]["current_period_end"], "subscription_renew", made["id"], clock)
    if made["status"] == "incomplete":
        store.later(now + INCOMPLETE_S, "subscription_expire", made["id"], clock)
    return made


def subscription_expire(store: Store, subscription_id: str) -> None:
    """A first invoice that stays unpaid for 23 hours is void, and its subscription over."""
    subscription = store.objects("subscription").get(subscription_id)
    if subscription is not None and subscription["status"] == "incomplete":
        subscription["status"] = "incomplete_expired"
        store.get("invoice", subscription["latest_invoice"])["status"] = "void"
        store.emit("customer.subscription.updated", subscription)


@handles("POST", "/v1/subscriptions/{subscription_exposed_id}")
def subscription_update(call: Call) -> Object:
    found = _alive(call)
    found.update(call.given("cancel_at_period_end", "default_payment_method"))
    found["metadata"] = metadata(found["metadata"], call.params.get("metadata"))
    call.store.emit("customer.subscription.updated", found)
    return found


@handles("DELETE", "/v1/subscriptions/{subscription_exposed_id}")
def subscription_cancel(call: Call) -> Object:
    """At once. What was metered is billed with `invoice_now` only; else it is lost.

    https://docs.stripe.com/api/subscriptions/cancel
    """
    found = _alive(call)
    if call.params.get("prorate"):
        raise Refused("This server does not prorate: set `prorate=false`.")
    found["cancellation_details"] = call.params.get("cancellation_details")
    if call.params.get("invoice_now"):
        usage = _usage_lines(call.store, found, until=call.store.now(found["test_clock"]))
        if usage:
            _invoice(call.store, found, usage, "subscription_update", behavior="allow_incomplete")
    subscription_end(call.store, found)
    return found


def subscription_end(store: Store, subscription: Object) -> None:
    now = store.now(subscription["test_clock"])
    subscription.update(status="canceled", canceled_at=now, ended_at=now)
    store.emit("customer.subscription.deleted", subscription)


def subscription_renew(store: Store, subscription_id: str) -> None:
    """A period is over: end it if that was asked for, else bill the next one."""
    subscription = store.get("subscription", subscription_id)
    if subscription["status"] in ENDED:
        return
    usage = _usage_lines(store, subscription)
    if subscription["cancel_at_period_end"]:
        if usage:
            _invoice(store, subscription, usage, "subscription_cycle", behavior="allow_incomplete")
        subscription_end(store, subscription)
        return
    for item in subscription["items"]["data"]:
        start = item["current_period_end"]
        end = _next(item["price"], start, subscription["billing_cycle_anchor"])
        item.update(current_period_start=start, current_period_end=end)
    end = subscription["items"]["data"][0]["current_period_end"]
    store.later(end, "subscription_renew", subscription_id, subscription["test_clock"])
    _bill(store, subscription, extra=[], behavior="allow_incomplete", prorated=False, usage=usage)
    store.emit("customer.subscription.updated", subscription)


def subscription_retry(store: Store, invoice_id: str) -> None:
    """Try a renewal's invoice again; after the last time the subscription ends.

    https://docs.stripe.com/billing/revenue-recovery/smart-retries
    """
    invoice = store.get("invoice", invoice_id)
    subscription = store.get("subscription", subscription_of(invoice))
    if invoice["status"] != "open" or subscription["status"] in ENDED:
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
    store: Store,
    subscription: Object,
    *,
    extra: list[Any],
    behavior: str,
    prorated: bool,
    usage: Sequence[Line] = (),
) -> None:
    """A period's beginning: licensed items in advance, `usage` in arrears, `extra` at once."""
    lines = list(usage)
    for item in subscription["items"]["data"]:
        if item["price"]["recurring"]["usage_type"] == "licensed":
            period = {"start": item["current_period_start"], "end": item["current_period_end"]}
            wanted = {"price": item["price"]["id"], "quantity": item["quantity"]}
            amount = 0 if prorated else line_amount(store, wanted, "items")[0]
            lines.append(Line(amount, "Subscription", period))
    now = store.now(subscription["test_clock"])
    for number, one in enumerate(extra):
        amount, _ = line_amount(store, one, f"add_invoice_items[{number}]")
        lines.append(Line(amount, None, {"start": now, "end": now}))
    is_first = subscription["latest_invoice"] is None
    reason = "subscription_create" if is_first else "subscription_cycle"
    _invoice(store, subscription, lines, reason, behavior=behavior)


def _usage_lines(store: Store, subscription: Object, until: int | None = None) -> list[Line]:
    """What was metered in the period that runs. https://docs.stripe.com/billing/subscriptions/usage-based"""
    found = []
    for item in subscription["items"]["data"]:
        recurring = item["price"]["recurring"]
        if recurring["usage_type"] != "metered":
            continue
        start, end = item["current_period_start"], until or item["current_period_end"]
        meter = store.get("billing.meter", recurring["meter"])
        usage = usage_of(store, meter, subscription["customer"], start, end)
        wanted = {"price": item["price"]["id"], "quantity": usage}
        amount = line_amount(store, wanted, "items")[0]
        found.append(Line(amount, "Usage", {"start": start, "end": end}))
    return found


def _invoice(
    store: Store, subscription: Object, lines: Sequence[Line], reason: str, *, behavior: str
) -> None:
    is_first = subscription["latest_invoice"] is None
    invoice = invoice_make(
        store, subscription["customer"], subscription["currency"],
        auto_advance=False,
        collection_method=subscription["collection_method"],
        billing_reason=reason,
        default_payment_method=subscription["default_payment_method"],
        _days=subscription["days_until_due"],
        parent={"type": "subscription_details", "quote_details": None,
                "subscription_details": {"subscription": subscription["id"],
                                         "metadata": dict(subscription["metadata"])}},
    )  # fmt: skip
    subscription["latest_invoice"] = invoice["id"]
    for line in lines:
        line_add(store, invoice, line.amount, description=line.description, period=line.period)
    if reason == "subscription_cycle" and not subscription["cancel_at_period_end"]:
        start = subscription["items"]["data"][0]["current_period_start"]
        clock = subscription["test_clock"]
        store.later(start + DRAFT_S, "subscription_collect", invoice["id"], clock)
    else:
        _open(store, subscription, invoice, behavior, is_first=is_first)


def subscription_collect(store: Store, invoice_id: str) -> None:
    """A renewal's invoice is a draft for an hour; where its subscription ended, it stays one.

    https://docs.stripe.com/billing/invoices/subscription
    """
    invoice = store.objects("invoice").get(invoice_id)
    if invoice is None or invoice["status"] != "draft":
        return
    subscription = store.get("subscription", subscription_of(invoice))
    if subscription["status"] not in ENDED:
        _open(store, subscription, invoice, "allow_incomplete", is_first=False)


def _open(
    store: Store, subscription: Object, invoice: Object, behavior: str, *, is_first: bool
) -> None:
    invoice_finalize(store, invoice)
    if subscription["collection_method"] == "send_invoice":
        subscription["status"] = "active" if is_first else subscription["status"]
    elif invoice["status"] == "open" and behavior != "default_incomplete":
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
    if data := given.get("price_data"):
        price = price_make(store, data)
    else:
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
    if found["status"] in ENDED:
        raise Refused(f"No such subscription: {call.id}", status=404, code="resource_missing",
                      param="id")  # fmt: skip
    return found
