"""Connected accounts: transfers, reversals and payouts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from stripe import InvalidRequestError, StripeClient

from tests.stripe_server.control import Control
from tests.stripe_server.factories import active_account, paid_intent


def test_an_account_receives_nothing_before_it_is_onboarded(stripe: StripeClient) -> None:
    account = stripe.v1.accounts.create({"capabilities": {"transfers": {"requested": True}}})
    assert account.requirements.currently_due  # type: ignore[union-attr]
    with pytest.raises(InvalidRequestError) as raised:
        stripe.v1.transfers.create({"amount": 1, "currency": "usd", "destination": account.id})
    assert raised.value.code == "insufficient_capabilities_for_transfer"


def test_a_transfer_needs_what_is_available_or_a_charge(
    control: Control, stripe: StripeClient
) -> None:
    partner = active_account(stripe, control)
    charge = paid_intent(stripe, 5000, currency="eur").latest_charge.id
    params: Any = {"amount": 3000, "currency": "eur", "destination": partner}
    with pytest.raises(InvalidRequestError) as raised:
        stripe.v1.transfers.create(params)
    assert raised.value.code == "balance_insufficient"
    params["source_transaction"] = charge
    stripe.v1.transfers.create(params)
    with pytest.raises(InvalidRequestError):
        stripe.v1.transfers.create(params)


def test_what_a_partner_has_paid_out_cannot_be_taken_back(
    control: Control, stripe: StripeClient
) -> None:
    partner = active_account(stripe, control)
    charge = paid_intent(stripe, 5000).latest_charge.id
    sent = stripe.v1.transfers.create(
        {"amount": 3000, "currency": "usd", "destination": partner, "source_transaction": charge}
    )
    stripe.v1.transfers.reversals.create(sent.id, {"amount": 1000})
    as_partner = {"stripe_account": partner}
    stripe.v1.payouts.create({"amount": 2000, "currency": "usd"}, as_partner)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError) as raised:
        stripe.v1.transfers.reversals.create(sent.id, {"amount": 2000})
    assert raised.value.code == "balance_insufficient"
    found = stripe.v1.transfers.retrieve(sent.id)
    assert (found.amount_reversed, found.reversed) == (1000, False)


def test_a_payout_arrives_or_fails(control: Control, stripe: StripeClient) -> None:
    paid_intent(stripe, 50_000, method="pm_card_bypassPending")
    payouts = [stripe.v1.payouts.create({"amount": 100, "currency": "usd"}) for _ in range(2)]
    before = stripe.v1.balance.retrieve().available[0].amount
    control.take_events()
    control.fail_payout(payouts[0].id)
    control.advance(days=3)
    found = [stripe.v1.payouts.retrieve(payout.id).status for payout in payouts]
    assert found == ["failed", "paid"]
    told = [json.loads(event) for event in control.take_events()]
    ours = [e["type"] for e in told if e["data"]["object"]["id"] in {p.id for p in payouts}]
    assert ours == ["payout.failed", "payout.paid"]
    changes = stripe.v1.balance_transactions.list({"type": "payout_failure"}).data
    assert [change.net for change in changes] == [100]
    assert stripe.v1.balance.retrieve().available[0].amount >= before + 100
