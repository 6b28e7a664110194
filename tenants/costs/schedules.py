"""Rates as one is told them: periods with an end, and machines that are owned. Pure.

Here a rate holds until the next; a schedule with ends must say the same, so that one that overlaps
or leaves a gap is refused and not guessed at.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise

from tenants.costs.defaults import CURRENCY
from tenants.costs.rates import RATE_DECIMALS
from tenants.kernel.errors import InvalidInput

SECONDS_A_YEAR = Decimal(31_557_600)  # 365.25 days
MOST = 10**12  # that a rate is below
HOURS_A_YEAR = SECONDS_A_YEAR / 3600


@dataclass(frozen=True)
class RatePeriod:
    """`amount` for a unit of a resource during [since, until); without an end, from then on."""

    amount: Decimal
    since: dt.datetime
    until: dt.datetime | None = None
    currency: str = CURRENCY


@dataclass(frozen=True)
class Owned:
    """A machine of one's own. Money in the currency of costs.

    `life_years` is how long it is used; `resale` what it brings then; `watts` its mean draw with
    cooling; `a_year` space, network and care; `slots` what it is sold as.
    """

    price: Decimal
    life_years: Decimal
    slots: int
    resale: Decimal = Decimal(0)
    watts: Decimal = Decimal(0)
    per_kwh: Decimal = Decimal(0)
    a_year: Decimal = Decimal(0)
    interest: Decimal = Decimal(0)  # a year, on the mean value that is tied up


def owned_rate(machine: Owned) -> Decimal:
    """A slot-second of an owned machine: straight-line amortisation, power, space, interest.

    In 12 decimals. Raises InvalidInput.
    """
    _check(machine)
    loss = (machine.price - machine.resale) / machine.life_years
    tied = (machine.price + machine.resale) / 2 * machine.interest
    power = machine.watts / 1000 * HOURS_A_YEAR * machine.per_kwh
    a_second = (loss + tied + power + machine.a_year) / SECONDS_A_YEAR / machine.slots
    if a_second >= MOST:
        raise InvalidInput(
            f"a slot-second of this machine would cost {a_second:.3g}: look at its price, its life"
            " and its power",
            param="price",
        )
    return a_second.quantize(Decimal(1).scaleb(-RATE_DECIMALS), ROUND_HALF_EVEN)


def schedule_checked(periods: Sequence[RatePeriod]) -> list[RatePeriod]:
    """The periods by time. Raises InvalidInput, naming the two that overlap or leave a gap."""
    if not periods:
        raise InvalidInput("a schedule has at least one period", param="periods")
    ordered = sorted(periods, key=lambda period: period.since)
    for period in ordered:
        _check_period(period)
    for one, following in pairwise(ordered):
        if one.until is None or one.until > following.since:
            raise InvalidInput(
                f"the rate from {_day(one.since)} overlaps that from {_day(following.since)}",
                param="periods",
            )
        if one.until < following.since:
            raise InvalidInput(
                f"no rate between {_day(one.until)} and {_day(following.since)}", param="periods"
            )
    if ordered[-1].until is not None:
        raise InvalidInput(
            f"no rate after {_day(ordered[-1].until)}: leave the last one open", param="periods"
        )
    return ordered


def _check_period(period: RatePeriod) -> None:
    if period.amount < 0:
        raise InvalidInput(f"the rate from {_day(period.since)} is below 0", param="amount")
    if period.currency != CURRENCY:
        raise InvalidInput(
            f"costs are kept in {CURRENCY}, not {period.currency}; convert first", param="currency"
        )
    if period.until is not None and period.until <= period.since:
        raise InvalidInput(
            f"the rate from {_day(period.since)} ends before it starts", param="until"
        )


def _check(machine: Owned) -> None:
    if machine.life_years <= 0 or machine.slots < 1:
        raise InvalidInput("a machine lives some time and has a slot", param="life_years")
    if machine.resale > machine.price:
        raise InvalidInput("a machine is not resold above its price", param="resale")
    given = (
        machine.price, machine.resale, machine.watts, machine.per_kwh, machine.a_year,
        machine.interest,
    )  # fmt: skip
    if min(given) < 0:
        raise InvalidInput("what a machine costs is at least 0", param="price")


def _day(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="seconds")
