"""A contract as an operator writes it: what may be agreed. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tenants.kernel.errors import InvalidInput
from tenants.pricing.cards import CURRENCY
from tenants.pricing.currencies import currency_check
from tenants.pricing.exact import ZERO

MOST = Decimal(10) ** 15
AMOUNTS = ("plan_fee", "commitment", "cap", "allowance", "credit_limit")


@dataclass(frozen=True, kw_only=True)
class NewContract:
    """Terms from `starts` (None: now) until `ends` (None: open).

    Without `book_id` the list's prices; without `pinned_version_id` the book is followed. Amounts
    are a month's, in `currency`: a fee, the least and the most that usage comes to, credit granted
    each month, and how much may be owed. `discount` is a share of 1. Raises InvalidInput.
    """

    book_id: str = ""
    pinned_version_id: str = ""
    starts: dt.datetime | None = None
    ends: dt.datetime | None = None
    currency: str = CURRENCY
    discount: Decimal = ZERO
    plan_fee: Decimal = ZERO
    commitment: Decimal = ZERO
    cap: Decimal | None = None
    allowance: Decimal = ZERO
    credit_limit: Decimal = ZERO

    def __post_init__(self) -> None:
        currency_check(self.currency)
        for name in ("starts", "ends"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise InvalidInput(f"{name} needs a time zone", param=name)
        share = self.discount
        if not share.is_finite() or not 0 <= share <= 1 or share != round(share, 6):
            raise InvalidInput("a discount is a share of 1, in 6 decimals", param="discount")
        for name in AMOUNTS:
            _check_amount(name, getattr(self, name))
        if self.cap is not None and self.cap < self.commitment:
            raise InvalidInput("the cap is below the commitment", param="cap")

    @property
    def amounts(self) -> dict[str, Any]:
        """What a `Contract` keeps under the same names."""
        names = ("currency", "discount", *AMOUNTS)
        return {name: getattr(self, name) for name in names}


def _check_amount(name: str, amount: Decimal | None) -> None:
    if amount is None:
        return
    if not amount.is_finite() or not 0 <= amount < MOST or amount != round(amount, 12):
        raise InvalidInput(f"{name} is at least 0, with at most 12 decimals", param=name)
