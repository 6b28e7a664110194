"""Stripe's balance in our books: every posting balances, and the clearing account empties."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.billing.books import Entry
from tenants.billing.stripe.books import (
    COUNTERPARTS,
    BalanceChange,
    available_entries,
    balance_entries,
    dispute_lost,
    metered_sale,
    payout_arrived,
    transfer_refused,
    transfer_sent,
    transfer_taken_back,
)

D = Decimal
AMOUNTS = st.decimals(-10_000, 10_000, places=2)


def change(category: str, amount: str, fee: str = "0") -> BalanceChange:
    return BalanceChange(category, D(amount), D(fee), D(amount) - D(fee))


def told(entries: list[Entry]) -> dict[str, Decimal]:
    return {f"{entry.kind}:{entry.ref}".rstrip(":"): entry.amount for entry in entries}


@given(st.sampled_from(sorted({*COUNTERPARTS, "unheard_of"})), AMOUNTS, AMOUNTS)
def test_whatever_stripe_says_balances(category: str, amount: Decimal, fee: Decimal) -> None:
    said = BalanceChange(category, amount, fee, amount - fee)
    for entries in (balance_entries(said), available_entries(said)):
        assert sum((entry.amount for entry in entries), D(0)) == 0


def test_a_charge_leaves_clearing_for_pending_and_fee() -> None:
    assert told(balance_entries(change("charge", "100", "3.20"))) == {
        "provider_pending:stripe": D("96.80"),
        "provider_fee:stripe": D("3.20"),
        "cash:stripe": D("-100"),
    }


def test_a_refund_meets_what_our_refund_booked() -> None:
    assert told(balance_entries(change("refund", "-40"))) == {
        "provider_pending:stripe": D("-40"),
        "cash:stripe": D("40"),
    }


def test_a_dispute_and_its_fee_wait_and_a_won_one_comes_back() -> None:
    taken = told(balance_entries(change("dispute", "-100", "15")))
    back = told(balance_entries(change("dispute_reversal", "100", "-15")))
    assert taken == {
        "provider_pending:stripe": D("-115"),
        "provider_fee:stripe": D("15"),
        "provider_dispute:stripe": D("100"),
    }
    assert {name: taken[name] + back[name] for name in taken} == dict.fromkeys(taken, D(0))


def test_fees_of_their_own_are_costs_alone() -> None:
    assert told(balance_entries(change("fee", "-2"))) == {
        "provider_pending:stripe": D("-2"),
        "provider_fee:stripe": D("2"),
    }


@pytest.mark.parametrize(
    "entries",
    [
        payout_arrived(D(50)),
        transfer_sent(D(50)),
        transfer_refused(D(50)),
        transfer_taken_back(D(50)),
        dispute_lost(D(100), withdrawn=D("29.5")),
        metered_sale(D(119), tax=D(19)),
    ],
)
def test_every_movement_balances(entries: list[Entry]) -> None:
    assert sum((entry.amount for entry in entries), D(0)) == 0


def test_of_a_lost_dispute_what_was_used_is_the_loss() -> None:
    assert told(dispute_lost(D(100), withdrawn=D(30))) == {
        "cash:stripe": D(30),
        "bad_debt": D(70),
        "provider_dispute:stripe": D(-100),
    }
