"""What a meter of Stripe's takes: 15 significant digits, 35 days, nothing below zero."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.billing.stripe.metering import is_too_old, meter_values, plain

NOW = dt.datetime(2026, 6, 10, 12, tzinfo=dt.UTC)


def digits(value: Decimal) -> int:
    """Significant digits of the text that is sent."""
    return (
        len(plain(value).replace(".", "").lstrip("0"))
        if value % 1
        else len(plain(value).rstrip("0"))
    )


def test_a_value_of_sixteen_digits_is_reported_in_two_parts() -> None:
    parts = meter_values(Decimal(1234567890123456))
    assert [plain(part) for part in parts] == ["1234567890123450", "6"]


def test_an_ordinary_value_is_one_event() -> None:
    assert [plain(part) for part in meter_values(Decimal("1500.250000000000"))] == ["1500.25"]
    assert meter_values(Decimal(0)) == []


@given(st.decimals(0, Decimal("1e18"), places=12))
def test_the_parts_add_up_to_the_last_digit(quantity: Decimal) -> None:
    parts = meter_values(quantity)
    with localcontext(prec=80):
        assert sum(parts, Decimal(0)) == quantity
    assert all(digits(part) <= 15 for part in parts)


def test_what_was_reported_cannot_be_taken_back() -> None:
    with pytest.raises(ValueError, match="only counts up"):
        meter_values(Decimal(-1))


def test_an_event_is_reported_within_35_days() -> None:
    assert not is_too_old(NOW - dt.timedelta(days=34, hours=22), NOW)
    assert is_too_old(NOW - dt.timedelta(days=36), NOW)
