"""Payments, refunds and disputes: states, events and what they move in the balance."""

from __future__ import annotations

import json
from typing import Any

import pytest
from stripe import CardError, InvalidRequestError, StripeClient, WebhookSignature

from tests.stripe_server.control import Control
from tests.stripe_server.factories import customer, kinds_of, paid_intent, top_up_session
from tests.stripe_server.webhooks import signature


@pytest.fixture(autouse=True)
def _taken(control: Control) -> None:
    control.take_events()


def balance(stripe: StripeClient, currency: str = "usd") -> tuple[int, int]:
    found = stripe.v1.balance.retrieve()
    sums = [
        sum(row.amount for row in rows if row.currency == currency)
        for rows in (found.available, found.pending)
    ]
    return sums[0], sums[1]


def test_a_top_up_is_paid_on_its_page(control: Control, stripe: StripeClient) -> None:
    session = top_up_session(stripe)
    assert (session.status, session.payment_status, session.amount_total) == (
        "open",
        "unpaid",
        5000,
    )
    control.take_events()
    control.pay_session(session.id)
    found = stripe.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (found.status, found.payment_status, found.url) == ("complete", "paid", None)
    assert found.payment_intent.amount_received == 5000  # type: ignore[union-attr]
    assert kinds_of(control.take_events()) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]


def test_a_bank_debit_completes_first_and_pays_later(
    control: Control, stripe: StripeClient
) -> None:
    session = top_up_session(stripe)
    control.pay_session(session.id, "pm_sepaDebit_success")
    found = stripe.v1.checkout.sessions.retrieve(session.id)
    assert (found.status, found.payment_status) == ("complete", "unpaid")
    control.advance(days=5)
    assert stripe.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"
    assert "checkout.session.async_payment_succeeded" in kinds_of(control.take_events())


def test_a_bank_debit_that_fails_is_told(control: Control, stripe: StripeClient) -> None:
    session = top_up_session(stripe)
    control.pay_session(session.id, "pm_sepaDebit_failure")
    control.advance(days=5)
    assert "checkout.session.async_payment_failed" in kinds_of(control.take_events())


def test_a_decline_leaves_the_page_open(control: Control, stripe: StripeClient) -> None:
    session = top_up_session(stripe)
    answer = control.pay_session(session.id, "pm_card_visa_chargeDeclinedInsufficientFunds")
    assert answer["error"]["decline_code"] == "insufficient_funds"
    assert stripe.v1.checkout.sessions.retrieve(session.id).status == "open"
    control.pay_session(session.id)
    assert stripe.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_a_page_expires_after_a_day(control: Control, stripe: StripeClient) -> None:
    session = top_up_session(stripe)
    control.advance(days=1.1)
    assert stripe.v1.checkout.sessions.retrieve(session.id).status == "expired"


@pytest.mark.parametrize(
    ("method", "code", "decline"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedFraudulent", "card_declined", "fraudulent"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ],
)
def test_test_cards_decline_as_documented(
    stripe: StripeClient, method: str, code: str, decline: str
) -> None:
    with pytest.raises(CardError) as raised:
        paid_intent(stripe, method=method)
    assert (raised.value.code, raised.value.http_status) == (code, 402)
    assert raised.value.error.decline_code == decline  # type: ignore[union-attr]


def test_money_is_pending_two_days_less_its_fee(control: Control, stripe: StripeClient) -> None:
    available, pending = balance(stripe)
    change = paid_intent(stripe, 10_000).latest_charge.balance_transaction
    assert (change.amount, change.fee, change.net) == (10_000, 320, 9_680)  # 2.9% + 30
    assert balance(stripe) == (available, pending + 9_680)
    control.advance(days=3)
    assert balance(stripe) == (available + pending + 9_680, 0)


def test_refunds_leave_the_balance_and_stop_at_what_was_paid(stripe: StripeClient) -> None:
    intent = paid_intent(stripe, 5000)
    before = sum(balance(stripe))
    refund = stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 2000})
    assert refund.status == "succeeded"
    assert sum(balance(stripe)) == before - 2000
    with pytest.raises(InvalidRequestError):
        stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 3001})
    stripe.v1.refunds.create({"payment_intent": intent.id})
    with pytest.raises(InvalidRequestError) as raised:
        stripe.v1.refunds.create({"payment_intent": intent.id})
    assert raised.value.code == "charge_already_refunded"


def test_a_failed_refund_is_back_in_the_balance(control: Control, stripe: StripeClient) -> None:
    intent = paid_intent(stripe, 5000)
    before = sum(balance(stripe))
    refund = stripe.v1.refunds.create({"payment_intent": intent.id})
    control.fail_refund(refund.id)
    found = stripe.v1.refunds.retrieve(refund.id)
    assert (found.status, sum(balance(stripe))) == ("failed", before)
    assert found.failure_balance_transaction


@pytest.mark.parametrize(
    ("evidence", "status", "back"),
    [("winning_evidence", "won", 5000), ("losing_evidence", "lost", 0)],
)
def test_a_dispute_takes_the_money_and_a_won_one_brings_it_back(
    stripe: StripeClient, evidence: str, status: str, back: int
) -> None:
    before = sum(balance(stripe))
    intent = paid_intent(stripe, 5000, method="pm_card_createDispute")
    dispute = next(iter(stripe.v1.disputes.list({"payment_intent": intent.id})))
    assert dispute.status == "needs_response"
    held = 5000 - 175 - 5000 - 1500  # less the fees of payment and dispute
    assert sum(balance(stripe)) == before + held
    stripe.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": evidence}})
    found = stripe.v1.disputes.retrieve(dispute.id)
    assert found.status == status
    assert sum(balance(stripe)) == before + held + back


def test_currencies_without_a_minor_unit_are_whole(stripe: StripeClient) -> None:
    intent = paid_intent(stripe, 500, currency="jpy")
    assert (intent.amount_received, intent.latest_charge.balance_transaction.fee) == (500, 54)


def test_a_deleted_customer_pays_nothing_more(stripe: StripeClient) -> None:
    gone = customer(stripe)
    stripe.v1.customers.delete(gone)
    assert stripe.v1.customers.retrieve(gone).deleted is True
    with pytest.raises(InvalidRequestError) as raised:
        paid_intent(stripe, customer=gone)
    assert raised.value.code == "resource_missing"


def test_a_saved_card_can_be_charged_again(control: Control, stripe: StripeClient) -> None:
    payer = customer(stripe)
    session = stripe.v1.checkout.sessions.create(
        {"mode": "setup", "currency": "usd", "customer": payer, "success_url": "http://127.0.0.1/"}
    )
    control.pay_session(session.id, "pm_card_visa")
    (saved,) = stripe.v1.customers.payment_methods.list(payer).data
    assert paid_intent(stripe, method=saved.id, customer=payer).status == "succeeded"
    stripe.v1.payment_methods.detach(saved.id)
    assert stripe.v1.customers.payment_methods.list(payer).data == []


def test_signatures_are_those_that_the_sdk_verifies(control: Control, stripe: StripeClient) -> None:
    customer(stripe)
    (payload,) = control.take_events()
    at = json.loads(payload)["created"]
    header = signature(payload, "whsec_a", at)
    text: Any = payload.decode()
    assert WebhookSignature.verify_header(text, header, "whsec_a")
    with pytest.raises(Exception, match="signature"):
        WebhookSignature.verify_header(text, header, "whsec_b")
