"""Amounts and quantities as documents print them."""

from __future__ import annotations

from decimal import Decimal

from tenants.kernel.money import Money


def amount(value: Decimal, currency: str) -> str:
    """`1,234.50`: in the currency's minor units; never `-0.00`."""
    rounded = Money(value, currency).rounded().amount
    return f"{rounded or abs(rounded):,f}"


def quantity(value: Decimal | None) -> str:
    """`1,234.5` without trailing zeros; nothing for None."""
    if value is None:
        return ""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(rate: Decimal) -> str:
    """`7.25%` for 0.0725."""
    return f"{quantity(rate * 100)}%"
