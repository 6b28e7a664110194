"""Which tax applies to whom. Pure: rates and duties are the operator's to set, none is invented.

Tax arises once: when prepaid credit is bought (`top_up`), or when it is used (`consumption`), never
both.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from tenants.kernel.money import Money

ZERO = Decimal(0)
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)
TOP_UP = "top_up"


@dataclass(frozen=True)
class Rate:
    """`rate` (0.19 = 19%) of a jurisdiction from `valid_from` on."""

    jurisdiction: str
    name: str
    rate: Decimal
    valid_from: dt.datetime


@dataclass(frozen=True)
class Person:
    """What of a tenant's tax profile decides its tax."""

    country: str = ""
    region: str = ""
    reverse_charge: bool = False
    tax_point: str = "consumption"
    inclusive: bool = False


@dataclass(frozen=True)
class Treatment:
    """What is charged: `rate` of `jurisdiction`. `jurisdiction` is empty where no rate is known."""

    jurisdiction: str
    name: str
    rate: Decimal
    reverse_charge: bool = False


NONE = Treatment(jurisdiction="", name="", rate=ZERO)


def treatment(person: Person, rates: Iterable[Rate], *, at: dt.datetime) -> Treatment:
    """Return what applies to `person` at `at`: the region's rate where there is one, else the
    country's, else none. Reverse charge: none, and the customer accounts for it.
    """
    known = sorted((r for r in rates if r.valid_from <= at), key=lambda r: r.valid_from)
    latest = {rate.jurisdiction: rate for rate in known}
    places = [f"{person.country}-{person.region}"] if person.region else []
    found = next((latest[p] for p in (*places, person.country) if p in latest), None)
    if person.reverse_charge:
        return Treatment(person.country, found.name if found else "", ZERO, reverse_charge=True)
    if found is None:
        return NONE
    return Treatment(found.jurisdiction, found.name, found.rate)


@dataclass(frozen=True)
class TopUp:
    """`paid` = `credit` + `tax`, in minor units."""

    credit: Decimal
    tax: Decimal

    @property
    def paid(self) -> Decimal:
        return self.credit + self.tax


def tax_of(net: Decimal, rate: Decimal, currency: str) -> Decimal:
    """Return the tax on `net`, rounded once, half-even, to minor units."""
    return Money(_EXACT.multiply(net, rate), currency).rounded().amount


def top_up_of_payment(paid: Decimal, treated: Treatment, person: Person, currency: str) -> TopUp:
    """What an amount that has arrived buys: all of it, or less the tax that it holds."""
    if person.tax_point != TOP_UP or treated.rate == 0:
        return TopUp(credit=paid, tax=ZERO)
    net = _EXACT.divide(paid, 1 + treated.rate)
    credit = Money(net, currency).rounded().amount
    return TopUp(credit=credit, tax=paid - credit)


def top_up_of_wish(amount: Decimal, treated: Treatment, person: Person, currency: str) -> TopUp:
    """What is to be paid for a top-up of `amount`: tax comes on top, or is in it (`inclusive`)."""
    if person.tax_point != TOP_UP or treated.rate == 0 or person.inclusive:
        return top_up_of_payment(amount, treated, person, currency)
    return TopUp(credit=amount, tax=tax_of(amount, treated.rate, currency))
