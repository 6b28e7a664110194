"""Which rate applies to whom and when, and what a top-up buys."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.billing.taxation import (
    NONE,
    Person,
    Rate,
    Treatment,
    tax_of,
    top_up_of_payment,
    top_up_of_wish,
    treatment,
)

D = Decimal


def on(year: int, month: int = 1) -> dt.datetime:
    return dt.datetime(year, month, 1, tzinfo=dt.UTC)


RATES = (
    Rate("DE", "USt", D("0.16"), on(2020, 7)),
    Rate("DE", "USt", D("0.19"), on(2021)),
    Rate("US-CA", "Sales tax", D("0.0725"), on(2020)),
)


@pytest.mark.parametrize(
    ("person", "at", "expected"),
    [
        (Person("DE"), on(2020, 8), Treatment("DE", "USt", D("0.16"))),
        (Person("DE"), on(2021), Treatment("DE", "USt", D("0.19"))),
        (Person("DE", "BY"), on(2026), Treatment("DE", "USt", D("0.19"))),
        (Person("DE"), on(2020), NONE),
        (Person("US", "CA"), on(2026), Treatment("US-CA", "Sales tax", D("0.0725"))),
        (Person("US", "OR"), on(2026), NONE),
        (Person(), on(2026), NONE),
        (Person("DE", reverse_charge=True), on(2026), Treatment("DE", "USt", D(0), True)),
    ],
)
def test_which_rate_applies(person: Person, at: dt.datetime, expected: Treatment) -> None:
    assert treatment(person, RATES, at=at) == expected
    assert treatment(person, RATES[::-1], at=at) == expected


VAT = Treatment("DE", "USt", D("0.19"))
AT_TOP_UP = Person("DE", tax_point="top_up")


def test_what_a_top_up_costs_and_buys() -> None:
    wish = top_up_of_wish(D(100), VAT, AT_TOP_UP, "EUR")
    assert (wish.credit, wish.tax, wish.paid) == (100, 19, 119)
    inclusive = top_up_of_wish(D(119), VAT, Person("DE", tax_point="top_up", inclusive=True), "EUR")
    assert (inclusive.credit, inclusive.tax) == (100, 19)
    at_consumption = top_up_of_wish(D(100), VAT, Person("DE"), "EUR")
    assert (at_consumption.credit, at_consumption.tax) == (100, 0)


@given(
    cents=st.integers(1, 10**9),
    rate=st.decimals("0", "0.5", places=4),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
)
def test_credit_and_tax_are_what_was_paid(cents: int, rate: Decimal, currency: str) -> None:
    places = {"EUR": 2, "JPY": 0, "KWD": 3}[currency]
    paid = D(cents).scaleb(-places)
    found = top_up_of_payment(paid, Treatment("X", "", rate), AT_TOP_UP, currency)
    assert found.paid == paid
    assert abs(found.tax - tax_of(found.credit, rate, currency)) <= D(1).scaleb(-places)
