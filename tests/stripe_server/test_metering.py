"""What Stripe prices itself: metered subscriptions, subscription pages, and items of drafts."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal
from typing import Any

import pytest
from stripe import StripeClient

from tests.stripe_server.control import Control
from tests.stripe_server.factories import customer


def at(month: int, day: int) -> int:
    return int(dt.datetime(2026, month, day, tzinfo=dt.UTC).timestamp())


def metered(stripe: StripeClient, event_name: str, unit: str) -> str:
    """A price of so many cents for each unit of a meter."""
    meter = stripe.v1.billing.meters.create(
        {"display_name": event_name, "event_name": event_name,
         "default_aggregation": {"formula": "sum"}}
    )  # fmt: skip
    recurring: Any = {"interval": "month", "usage_type": "metered", "meter": meter.id}
    price = stripe.v1.prices.create(
        {"currency": "usd", "unit_amount_decimal": Decimal(unit), "recurring": recurring,
         "product_data": {"name": event_name}}
    )  # fmt: skip
    return price.id


def report(stripe: StripeClient, name: str, payer: str, value: str, when: int) -> None:
    payload = {"stripe_customer_id": payer, "value": value}
    stripe.v1.billing.meter_events.create(
        {"event_name": name, "payload": payload, "timestamp": when}
    )


def start(stripe: StripeClient, name: str, clock_at: int) -> tuple[str, str, str]:
    """(subscription, customer, clock)"""
    clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": clock_at}).id
    payer = customer(stripe, test_clock=clock)
    saved = stripe.v1.payment_methods.attach("pm_card_visa", {"customer": payer}).id
    made = stripe.v1.subscriptions.create(
        {"customer": payer, "default_payment_method": saved,
         "items": [{"price": metered(stripe, name, "0.5")}]}
    )  # fmt: skip
    return made.id, payer, clock


def totals(stripe: StripeClient, payer: str) -> list[int]:
    return [invoice.total for invoice in stripe.v1.invoices.list({"customer": payer}).data]


def test_usage_is_billed_when_its_period_is_over(stripe: StripeClient) -> None:
    today = int(time.time())
    _, payer, clock = start(stripe, "used", today - 86_400)
    assert totals(stripe, payer) == [0]
    report(stripe, "used", payer, "333", today)
    stripe.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": today + 32 * 86_400})
    assert totals(stripe, payer) == [167, 0]  # 166.5 cents, half up


@pytest.mark.parametrize(("invoice_now", "billed"), [(True, [500, 0]), (False, [0])])
def test_cancelled_at_once_usage_is_billed_now_or_lost(
    stripe: StripeClient, invoice_now: bool, billed: list[int]
) -> None:
    today, name = int(time.time()), f"lost {invoice_now}"
    subscription, payer, clock = start(stripe, name, today - 86_400)
    report(stripe, name, payer, "1000", today)
    stripe.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": today + 86_400})
    stripe.v1.subscriptions.cancel(subscription, {"invoice_now": invoice_now})
    report(stripe, name, payer, "50", today)  # too late for any invoice
    stripe.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": today + 60 * 86_400})
    assert totals(stripe, payer) == billed


def test_a_page_sells_a_subscription(control: Control, stripe: StripeClient) -> None:
    payer = customer(stripe)
    session = stripe.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "customer": payer,
            "success_url": "http://127.0.0.1/",
            "line_items": [
                {
                    "quantity": 2,
                    "price_data": {"currency": "usd", "unit_amount": 700,
                                   "product_data": {"name": "Plan"},
                                   "recurring": {"interval": "month"}},
                }
            ],
        }
    )  # fmt: skip
    declined = control.pay_session(session.id, "pm_card_chargeCustomerFail")
    assert declined["error"]["code"] == "card_declined"
    assert stripe.v1.subscriptions.list({"customer": payer}).data == []
    control.pay_session(session.id)
    found = stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription"]})
    assert (found.status, found.subscription.status) == ("complete", "active")  # type: ignore[union-attr]
    assert totals(stripe, payer) == [1400]


def test_a_first_invoice_that_stays_unpaid_for_a_day_ends_its_subscription(
    stripe: StripeClient,
) -> None:
    clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": at(1, 1)}).id
    payer = customer(stripe, test_clock=clock)
    price = stripe.v1.prices.create(
        {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Plan"},
         "recurring": {"interval": "month"}}
    )  # fmt: skip
    made = stripe.v1.subscriptions.create({"customer": payer, "items": [{"price": price.id}]})
    assert made.status == "incomplete"
    stripe.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": at(1, 3)})
    assert stripe.v1.subscriptions.retrieve(made.id).status == "incomplete_expired"


def test_an_item_of_a_draft_is_changed_or_taken_off(stripe: StripeClient) -> None:
    payer = customer(stripe)
    invoice = stripe.v1.invoices.create({"customer": payer, "currency": "usd"}).id
    first, second = (
        stripe.v1.invoice_items.create(
            {"customer": payer, "invoice": invoice, "amount": amount, "currency": "usd"}
        ).id
        for amount in (700, 300)
    )
    stripe.v1.invoice_items.update(first, {"amount": 900})
    stripe.v1.invoice_items.delete(second)
    found = stripe.v1.invoices.retrieve(invoice)
    assert (found.total, [line.amount for line in found.lines.data]) == (900, [900])


def test_pending_items_are_taken_up_only_when_asked_for(stripe: StripeClient) -> None:
    payer = customer(stripe)
    stripe.v1.invoice_items.create({"customer": payer, "amount": 700, "currency": "usd"})
    without = stripe.v1.invoices.create(
        {"customer": payer, "pending_invoice_items_behavior": "exclude"}
    )
    within = stripe.v1.invoices.create(
        {"customer": payer, "pending_invoice_items_behavior": "include", "auto_advance": True}
    )
    assert (without.total, within.total) == (0, 700)
