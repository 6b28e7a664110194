"""Invoices, credit notes, subscriptions and meters."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal
from typing import Any

import pytest
from stripe import CardError, InvalidRequestError, StripeClient

from tests.stripe_server.control import Control
from tests.stripe_server.factories import customer, open_invoice, paid_intent

DAY = 86_400


def test_an_invoice_is_drafted_finalised_and_paid(stripe: StripeClient) -> None:
    invoice = open_invoice(stripe, 700, 300)
    assert (invoice.status, invoice.total, invoice.amount_remaining) == ("open", 1000, 1000)
    assert invoice.hosted_invoice_url
    paid = stripe.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_visa"})
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 1000, 0)
    (row,) = stripe.v1.invoice_payments.list({"invoice": invoice.id}).data
    assert (row.status, row.amount_paid) == ("paid", 1000)


def test_one_that_is_no_draft_takes_no_more_items(stripe: StripeClient) -> None:
    invoice = open_invoice(stripe, 700)
    with pytest.raises(InvalidRequestError):
        stripe.v1.invoice_items.create(
            {"customer": invoice.customer, "invoice": invoice.id, "amount": 1, "currency": "usd"}
        )
    with pytest.raises(InvalidRequestError):
        stripe.v1.invoices.finalize_invoice(invoice.id)


def test_several_payments_pay_one_invoice(stripe: StripeClient) -> None:
    invoice = open_invoice(stripe, 1000)
    for amount, left in ((400, 600), (600, 0)):
        intent = paid_intent(stripe, amount, customer=invoice.customer)
        found = stripe.v1.invoices.attach_payment(invoice.id, {"payment_intent": intent.id})
        assert found.amount_remaining == left
    assert found.status == "paid"


def test_a_declined_invoice_stays_open_and_can_be_paid(stripe: StripeClient) -> None:
    invoice = open_invoice(stripe, 1000)
    with pytest.raises(CardError):
        stripe.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_chargeDeclined"})
    assert stripe.v1.invoices.retrieve(invoice.id).status == "open"
    assert stripe.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_visa"}).status == "paid"


def test_an_invoice_is_voided_or_given_up_once(stripe: StripeClient) -> None:
    void = stripe.v1.invoices.void_invoice(open_invoice(stripe, 1000).id)
    assert void.status == "void"
    with pytest.raises(InvalidRequestError):
        stripe.v1.invoices.pay(void.id, {"payment_method": "pm_card_visa"})
    given_up = stripe.v1.invoices.mark_uncollectible(open_invoice(stripe, 1000).id)
    assert given_up.status == "uncollectible"
    assert stripe.v1.invoices.pay(given_up.id, {"payment_method": "pm_card_visa"}).status == "paid"


def test_a_credit_note_lowers_what_is_owed(stripe: StripeClient) -> None:
    invoice = open_invoice(stripe, 1000)
    stripe.v1.credit_notes.create({"invoice": invoice.id, "amount": 400})
    assert stripe.v1.invoices.retrieve(invoice.id).amount_remaining == 600
    stripe.v1.credit_notes.create({"invoice": invoice.id, "amount": 600})
    assert stripe.v1.invoices.retrieve(invoice.id).status == "paid"


def test_a_credit_note_on_a_paid_invoice_says_where_the_money_goes(stripe: StripeClient) -> None:
    invoice = open_invoice(stripe, 1000)
    stripe.v1.invoices.pay(invoice.id, {"payment_method": "pm_card_visa"})
    (row,) = stripe.v1.invoice_payments.list({"invoice": invoice.id}).data
    refund = stripe.v1.refunds.create(
        {"payment_intent": str(row.payment.payment_intent), "amount": 300}
    )
    with pytest.raises(InvalidRequestError):
        stripe.v1.credit_notes.create({"invoice": invoice.id, "amount": 300})
    note = stripe.v1.credit_notes.create(
        {
            "invoice": invoice.id,
            "amount": 300,
            "refunds": [{"refund": refund.id, "amount_refunded": 300}],
        }
    )
    assert (note.status, note.amount) == ("issued", 300)


def test_stripe_rounds_a_fine_price_times_a_quantity(stripe: StripeClient) -> None:
    """The trap: half a cent, 3 times, is 2 cents and not 3 times a rounded one."""
    payer = customer(stripe)
    invoice = stripe.v1.invoices.create({"customer": payer, "currency": "usd"})
    item = stripe.v1.invoice_items.create(
        {"customer": payer, "invoice": invoice.id, "currency": "usd", "quantity": 3,
         "unit_amount_decimal": Decimal("0.5")}
    )  # fmt: skip
    assert item.amount == 2


def monthly(stripe: StripeClient, payer: str, method: str = "pm_card_visa") -> dict[str, object]:
    product = stripe.v1.products.create({"name": "Plan"})
    price = stripe.v1.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 5000,
         "recurring": {"interval": "month"}}
    )  # fmt: skip
    saved = stripe.v1.payment_methods.attach(method, {"customer": payer})
    return {"customer": payer, "items": [{"price": price.id}], "default_payment_method": saved.id}


def at(year: int, month: int, day: int) -> int:
    return int(dt.datetime(year, month, day, tzinfo=dt.UTC).timestamp())


def test_a_subscription_bills_each_period_by_its_clock(stripe: StripeClient) -> None:
    clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": at(2026, 1, 31)})
    payer = customer(stripe, test_clock=clock.id)
    made = stripe.v1.subscriptions.create(monthly(stripe, payer))  # type: ignore[arg-type]
    assert made.status == "active"
    stripe.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": at(2026, 4, 1)})
    invoices = stripe.v1.invoices.list({"customer": payer}).data
    assert [(i.status, i.amount_paid) for i in invoices] == [("paid", 5000)] * 3
    (item,) = stripe.v1.subscriptions.retrieve(made.id)["items"].data
    assert item.current_period_end == at(2026, 4, 30)  # the anchor's 31st, or the month's last day


def test_with_an_anchor_the_first_invoice_holds_only_what_was_added(stripe: StripeClient) -> None:
    payer = customer(stripe)
    params = monthly(stripe, payer)
    product = stripe.v1.products.create({"name": "Rest"}).id
    added = {"price_data": {"currency": "usd", "product": product, "unit_amount": 1234}}
    made = stripe.v1.subscriptions.create(
        {
            **params,
            "billing_cycle_anchor": int(time.time()) + 10 * DAY,
            "proration_behavior": "none",
            "add_invoice_items": [added],
            "expand": ["latest_invoice"],
        }  # type: ignore[arg-type]
    )
    assert made.latest_invoice.amount_paid == 1234  # type: ignore[union-attr]


def test_a_renewal_that_is_declined_is_past_due_and_then_over(
    control: Control, stripe: StripeClient
) -> None:
    clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": at(2026, 1, 1)})
    payer = customer(stripe, test_clock=clock.id)
    params = monthly(stripe, payer)
    made = stripe.v1.subscriptions.create(params)  # type: ignore[arg-type]
    bad = stripe.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": payer})
    stripe.v1.subscriptions.update(made.id, {"default_payment_method": bad.id})
    advance = stripe.v1.test_helpers.test_clocks.advance
    advance(clock.id, {"frozen_time": at(2026, 2, 2)})
    assert stripe.v1.subscriptions.retrieve(made.id).status == "past_due"
    advance(clock.id, {"frozen_time": at(2026, 2, 20)})
    assert stripe.v1.subscriptions.retrieve(made.id).status == "canceled"


def test_one_that_must_be_paid_at_once_is_not_made_without(stripe: StripeClient) -> None:
    payer = customer(stripe)
    params = monthly(stripe, payer, "pm_card_chargeCustomerFail")
    with pytest.raises(CardError):
        stripe.v1.subscriptions.create(
            {**params, "payment_behavior": "error_if_incomplete"}  # type: ignore[arg-type]
        )
    assert stripe.v1.subscriptions.list({"customer": payer}).data == []


def meter(stripe: StripeClient, name: str) -> str:
    made = stripe.v1.billing.meters.create(
        {"display_name": name, "event_name": name, "default_aggregation": {"formula": "sum"}}
    )
    return str(made.id)


def report(stripe: StripeClient, name: str, payer: str, value: str, **fields: object) -> None:
    payload = {"stripe_customer_id": payer, "value": value}
    params: Any = {"event_name": name, "payload": payload, **fields}
    stripe.v1.billing.meter_events.create(params)


def test_meter_events_add_up(stripe: StripeClient) -> None:
    payer, meter_id, now = customer(stripe), meter(stripe, "tokens"), int(time.time())
    report(stripe, "tokens", payer, "1.5")
    report(stripe, "tokens", payer, "123456789012345")
    (summary,) = stripe.v1.billing.meters.event_summaries.list(
        meter_id, {"customer": payer, "start_time": now - DAY, "end_time": now + DAY}
    ).data
    assert summary.aggregated_value == 123456789012346.5


@pytest.mark.parametrize(
    ("value", "age", "code"),
    [
        ("1234567890123456", 0, "meter_event_invalid_value"),  # 16 digits
        ("1", 36 * DAY, "timestamp_too_far_in_past"),
        ("1", -3600, "timestamp_in_future"),
    ],
)
def test_meter_events_have_limits(stripe: StripeClient, value: str, age: int, code: str) -> None:
    payer, name = customer(stripe), f"limits{code}"
    meter(stripe, name)
    with pytest.raises(InvalidRequestError) as raised:
        report(stripe, name, payer, value, timestamp=int(time.time()) - age)
    assert raised.value.code == code


def test_an_identifier_is_remembered_for_a_day_only(control: Control, stripe: StripeClient) -> None:
    payer = customer(stripe)
    meter(stripe, "twice")
    report(stripe, "twice", payer, "1", identifier="i")
    with pytest.raises(InvalidRequestError):
        report(stripe, "twice", payer, "1", identifier="i")
    control.advance(days=25 / 24)
    report(stripe, "twice", payer, "1", identifier="i")
