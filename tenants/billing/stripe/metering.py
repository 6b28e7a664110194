"""Quantities as Stripe's meters take them. Pure.

https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api: a value has at most
15 significant digits, an event is at most 35 days old and at most 5 minutes ahead.
"""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_DOWN, Context, Decimal

MOST_DIGITS = 15
OLDEST = dt.timedelta(days=35)
_CUT = Context(prec=MOST_DIGITS, rounding=ROUND_DOWN)
_EXACT = Context(prec=80)


def meter_values(quantity: Decimal) -> list[Decimal]:
    """Values that add up to exactly `quantity`, each within `MOST_DIGITS`: mostly itself.

    Raises ValueError below zero: what was reported cannot be taken back.
    """
    if quantity < 0:
        raise ValueError(f"a meter only counts up, not by {quantity}")
    values: list[Decimal] = []
    rest = quantity
    while rest:
        part = _CUT.plus(rest)
        values.append(part)
        rest = _EXACT.subtract(rest, part)
    return values


def plain(value: Decimal) -> str:
    """Digits only, without exponent or trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def is_too_old(at: dt.datetime, now: dt.datetime) -> bool:
    """Whether Stripe refuses an event of that time; an hour is left for its way there."""
    return now - at > OLDEST - dt.timedelta(hours=1)
