"""What a stretch of time costs, by the rates that were in force. Pure and exact.

Seconds have 6 decimals and rates 12, so an amount has 18 and is never rounded: the cost of a
stretch is the sum of the costs of its pieces, wherever it is cut.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Clamped, Context, Decimal, Inexact, InvalidOperation, Overflow

RATE_DECIMALS = 12
AMOUNT_DECIMALS = 18
EXACT = Context(prec=60, traps=[Inexact, InvalidOperation, Overflow, Clamped])


@dataclass(frozen=True)
class RateStep:
    """`amount` a unit from `valid_from` until the next step."""

    rate_id: int
    valid_from: dt.datetime
    amount: Decimal


@dataclass(frozen=True)
class PricedStretch:
    """[started_at, ended_at) at one rate: `seconds` x rate = `amount`."""

    rate_id: int
    started_at: dt.datetime
    ended_at: dt.datetime
    seconds: Decimal
    amount: Decimal


def seconds_between(start: dt.datetime, end: dt.datetime) -> Decimal:
    """The time from `start` to `end`, exact to the microsecond."""
    span = end - start
    whole = Decimal(span.days * 86400 + span.seconds)
    return whole + Decimal(span.microseconds).scaleb(-6)


def priced(
    started_at: dt.datetime, ended_at: dt.datetime, steps: Sequence[RateStep]
) -> list[PricedStretch]:
    """Cut [started_at, ended_at) where the rate changes and price each piece.

    `steps` are sorted by time. Raises ValueError where none is in force at `started_at`.
    """
    first = bisect_right(steps, started_at, key=lambda step: step.valid_from) - 1
    if first < 0:
        raise ValueError(f"no rate is in force at {started_at.isoformat()}")
    pieces: list[PricedStretch] = []
    begin = started_at
    for position in range(first, len(steps)):
        following = steps[position + 1].valid_from if position + 1 < len(steps) else ended_at
        end = min(following, ended_at)
        pieces.append(_piece(steps[position], begin, end))
        if end == ended_at:
            break
        begin = end
    return pieces


def per_units(amount: Decimal, quantity: Decimal, units: int) -> Decimal | None:
    """What `units` cost where `quantity` cost `amount`, in 12 decimals; None for no quantity."""
    if quantity == 0:
        return None
    wide = Context(prec=60)
    return wide.quantize(
        wide.divide(wide.multiply(amount, Decimal(units)), quantity),
        Decimal(1).scaleb(-RATE_DECIMALS),
    )


def _piece(step: RateStep, begin: dt.datetime, end: dt.datetime) -> PricedStretch:
    seconds = seconds_between(begin, end)
    return PricedStretch(
        rate_id=step.rate_id,
        started_at=begin,
        ended_at=end,
        seconds=seconds,
        amount=EXACT.multiply(seconds, step.amount),
    )
