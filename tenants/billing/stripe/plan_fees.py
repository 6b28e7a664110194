"""A plan's fee paid in advance: how much of a month a contract holds for. Pure."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from tenants.billing.periods import Period
from tenants.kernel.money import Money
from tenants.pricing.exact import share_of
from tenants.pricing.models import Contract

ZERO = Decimal(0)
_SECOND = dt.timedelta(seconds=1)


def fee_of_month(contract: Contract, period: Period) -> Decimal:
    """The fee that the month's statement will state, exactly: the contract's share of the month."""
    since, until = period.start, period.end
    held = min(until, contract.ends or until) - max(since, contract.starts)
    if held <= dt.timedelta(0):
        return ZERO
    return share_of(contract.plan_fee, held // _SECOND, (until - since) // _SECOND)


def gross_fee(net: Decimal, rate: Decimal, currency: str) -> Money:
    """What is collected for a fee: with its tax, in minor units, rounded once."""
    return Money(net * (1 + rate), currency).rounded()
