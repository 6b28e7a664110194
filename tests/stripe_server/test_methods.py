"""Cards that ask, refuse, or give money back late; captures; and what is not modelled."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from stripe import CardError, InvalidRequestError, StripeClient, StripeError

from tests.stripe_server.control import Control
from tests.stripe_server.factories import customer, kinds_of, paid_intent


@pytest.mark.parametrize(
    ("ok", "status"), [(True, "succeeded"), (False, "requires_payment_method")]
)
def test_a_bank_asks_the_customer(
    control: Control, stripe: StripeClient, ok: bool, status: str
) -> None:
    intent = paid_intent(stripe, method="pm_card_authenticationRequired", expand=[])
    assert intent.status == "requires_action"
    control.authenticate(intent.id, ok=ok)
    assert stripe.v1.payment_intents.retrieve(intent.id).status == status


def test_off_session_nobody_can_be_asked(stripe: StripeClient) -> None:
    with pytest.raises(CardError) as raised:
        paid_intent(stripe, method="pm_card_authenticationRequired", off_session=True)
    assert raised.value.code == "authentication_required"


def test_a_page_for_saving_waits_for_the_banks_question(
    control: Control, stripe: StripeClient
) -> None:
    payer = customer(stripe)
    session = stripe.v1.checkout.sessions.create(
        {"mode": "setup", "currency": "usd", "customer": payer, "success_url": "http://127.0.0.1/"}
    )
    control.pay_session(session.id, "pm_card_authenticationRequired")
    assert stripe.v1.checkout.sessions.retrieve(session.id).status == "open"
    control.authenticate(str(session.setup_intent))
    assert stripe.v1.checkout.sessions.retrieve(session.id).status == "complete"
    assert len(stripe.v1.customers.payment_methods.list(payer).data) == 1


def test_a_card_that_is_declined_is_not_saved(stripe: StripeClient) -> None:
    payer = customer(stripe)
    with pytest.raises(CardError):
        stripe.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": payer})
    assert stripe.v1.customers.payment_methods.list(payer).data == []


def test_a_detached_card_and_anothers_card_cannot_be_charged(stripe: StripeClient) -> None:
    payer, other = customer(stripe), customer(stripe)
    saved = stripe.v1.payment_methods.attach("pm_card_visa", {"customer": payer}).id
    with pytest.raises(InvalidRequestError):
        paid_intent(stripe, method=saved, customer=other)
    stripe.v1.payment_methods.detach(saved)
    with pytest.raises(InvalidRequestError, match="may not be used again"):
        paid_intent(stripe, method=saved, customer=payer)


def test_a_part_of_an_authorisation_is_captured_once(stripe: StripeClient) -> None:
    intent = paid_intent(stripe, 5000, capture_method="manual", expand=[])
    assert (intent.status, intent.amount_received) == ("requires_capture", 0)
    done = stripe.v1.payment_intents.capture(
        intent.id, {"amount_to_capture": 2000, "expand": ["latest_charge.balance_transaction"]}
    )
    charge: Any = done.latest_charge
    assert (done.amount_received, charge.balance_transaction.amount) == (2000, 2000)
    with pytest.raises(InvalidRequestError):
        stripe.v1.payment_intents.capture(intent.id)
    assert stripe.v1.refunds.create({"payment_intent": intent.id}).amount == 2000


@pytest.mark.parametrize(
    ("method", "first", "last"),
    [
        ("pm_card_pendingRefund", "pending", "succeeded"),
        ("pm_card_refundFail", "succeeded", "failed"),
    ],
)
def test_refunds_come_late_or_are_sent_back(
    control: Control, stripe: StripeClient, method: str, first: str, last: str
) -> None:
    refund = stripe.v1.refunds.create({"payment_intent": paid_intent(stripe, method=method).id})
    assert refund.status == first
    control.take_events()
    control.advance(days=1)
    assert stripe.v1.refunds.retrieve(refund.id).status == last
    assert kinds_of(control.take_events()) == [f"refund.{'updated' if last != 'failed' else last}"]


@pytest.mark.parametrize(
    ("amount", "currency", "param"),
    [(5123, "kwd", "amount"), (550, "isk", "amount"), (49, "usd", "amount"), (49, "jpy", "amount"),
     (500, "xyz", "currency"), (0, "usd", "amount")],
)  # fmt: skip
def test_amounts_that_a_currency_does_not_have_are_refused(
    stripe: StripeClient, amount: int, currency: str, param: str
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        stripe.v1.payment_intents.create({"amount": amount, "currency": currency})
    assert raised.value.param == param


def test_fees_are_what_the_door_says(control: Control, stripe: StripeClient) -> None:
    control.fees(Decimal("0.01"), usd=5)
    change = paid_intent(stripe, 10_000).latest_charge.balance_transaction
    control.fees(Decimal("0.029"))
    assert change.fee == 105
    assert paid_intent(stripe, 10_000).latest_charge.balance_transaction.fee == 320


def test_what_is_right_and_not_modelled_is_told_and_not_dropped(stripe: StripeClient) -> None:
    with pytest.raises(StripeError) as raised:
        stripe.v1.payment_intents.create(
            {"amount": 500, "currency": "usd", "application_fee_amount": 5}
        )
    assert raised.value.http_status == 501
    assert "application_fee_amount" in str(raised.value)


def test_metadata_has_its_limits(stripe: StripeClient) -> None:
    for wrong in ({"k" * 41: "v"}, {"k": "v" * 501}, {f"k{n}": "v" for n in range(51)}):
        with pytest.raises(InvalidRequestError):
            stripe.v1.customers.create({"metadata": wrong})
    kept = stripe.v1.customers.create({"metadata": {"a": "1", "b": "2"}})
    changed = stripe.v1.customers.update(kept.id, {"metadata": {"a": "", "c": "3"}})
    assert changed.to_dict()["metadata"] == {"b": "2", "c": "3"}
