"""Amounts as Stripe counts them: the right number of digits for each currency, or an error."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.billing.stripe.amounts import chargeable, collectable, exponent, of_stripe, to_stripe
from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import Money

# https://docs.stripe.com/currencies: amount → what the API is sent
EXAMPLES = [
    ("12.34", "USD", 1234),
    ("0.50", "EUR", 50),
    ("500", "JPY", 500),
    ("1", "KRW", 1),
    ("5.12", "KWD", 5120),
    ("0.01", "KWD", 10),
    ("7", "ISK", 700),
    ("9", "UGX", 900),
    ("3", "XOF", 3),
]


@pytest.mark.parametrize(("amount", "currency", "whole"), EXAMPLES)
def test_amounts_are_whole_numbers_of_the_smallest_unit(
    amount: str, currency: str, whole: int
) -> None:
    assert to_stripe(Money.of(amount, currency)) == whole
    assert of_stripe(whole, currency.lower()) == Money.of(amount, currency)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [("1.234", "USD"), ("0.5", "JPY"), ("1.234", "KWD"), ("1.5", "ISK"), ("0.001", "BHD")],
)
def test_what_no_card_can_be_charged_by_is_refused_not_rounded(amount: str, currency: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        to_stripe(Money.of(amount, currency))
    assert refused.value.code == "amount_too_fine"


def test_more_than_one_payment_can_be_is_refused() -> None:
    assert to_stripe(Money.of("999999.99", "USD")) == 99_999_999
    with pytest.raises(InvalidInput, match="more than one payment"):
        to_stripe(Money.of("1000000", "USD"))


@given(
    st.decimals(0, 10_000, places=6),
    st.sampled_from(["USD", "JPY", "KWD", "ISK", "CLP"]),
)
def test_what_can_be_collected_is_the_largest_chargeable_amount(
    amount: Decimal, currency: str
) -> None:
    money = Money(amount, currency)
    part = collectable(money)
    assert of_stripe(to_stripe(part), currency) == part
    step = Decimal(1) if exponent(currency) == 0 or currency == "ISK" else Decimal("0.01")
    assert 0 <= (money - part).amount < step
    least = chargeable(money)
    assert of_stripe(to_stripe(least), currency) == least
    assert 0 <= (least - money).amount < step
