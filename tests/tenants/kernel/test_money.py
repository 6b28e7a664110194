"""Money: exact, never float, never mixed."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.kernel.money import Money, minor_units

AMOUNTS = st.decimals(
    min_value=Decimal("-1e18"), max_value=Decimal("1e18"), places=18, allow_nan=False
)


def usd(amount: str | Decimal) -> Money:
    return Money.of(amount, "USD")


@given(AMOUNTS, AMOUNTS)
def test_sums_and_differences_are_exact(a: Decimal, b: Decimal) -> None:
    """Against rational arithmetic, which never rounds."""
    assert Fraction((usd(a) + usd(b)).amount) == Fraction(a) + Fraction(b)
    assert Fraction((usd(a) - usd(b)).amount) == Fraction(a) - Fraction(b)
    assert Fraction((-usd(a)).amount) == -Fraction(a)


@given(AMOUNTS, AMOUNTS)
def test_products_are_exact(a: Decimal, factor: Decimal) -> None:
    assert Fraction((usd(a) * factor).amount) == Fraction(a) * Fraction(factor)


def test_nothing_is_lost_beyond_28_digits() -> None:
    large, tiny = usd("99999999999999999999.99"), usd("0.000000000001")

    assert large + tiny - large == tiny


@given(AMOUNTS)
def test_rounding_is_half_to_even_at_the_minor_unit(a: Decimal) -> None:
    cents = Fraction(a) * 100
    below = cents.numerator // cents.denominator
    rest = cents - below
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and below % 2 == 1)

    assert Fraction(usd(a).rounded().amount) * 100 == below + up


@pytest.mark.parametrize(
    ("currency", "rounded"),
    [("USD", "2.34"), ("JPY", "2"), ("UGX", "2"), ("KWD", "2.344"), ("CLF", "2.3444")],
)
def test_each_currency_has_its_own_minor_unit(currency: str, rounded: str) -> None:
    assert Money.of("2.3444", currency).rounded().amount == Decimal(rounded)
    assert minor_units("JPY") == 0


@pytest.mark.parametrize("currency", ["usd", "US", "USDT", "U1D", "ÄÖÜ", "", "XYZ", "XAU"])
def test_a_currency_is_one_of_iso_4217(currency: str) -> None:
    with pytest.raises(ValueError, match="currency"):
        Money(Decimal(1), currency)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_an_amount_is_finite(amount: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        Money(Decimal(amount), "USD")


def test_floats_never_get_in() -> None:
    with pytest.raises(TypeError):
        Money(1.5, "USD")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Money.of(1.5, "USD")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        usd("1") * 1.5  # type: ignore[operator]


def test_currencies_never_mix() -> None:
    for operation in (Money.__add__, Money.__sub__, Money.__lt__, Money.__le__):
        with pytest.raises(ValueError, match="cannot mix"):
            operation(usd("1"), Money.of("1", "EUR"))
    assert usd("1") != Money.of("1", "EUR")


def test_equal_amounts_are_equal_however_written() -> None:
    assert usd("1.0") == usd("1.00")
    assert len({usd("1.0"), usd("1.00")}) == 1
    assert usd("1") < usd("1.01") <= usd("1.01")
    assert str(usd("1E+3")) == "1000 USD"
