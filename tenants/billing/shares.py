"""What of partners' shares goes back with money, as the ledger is asked for it. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal

_CUT = Context(prec=80, rounding=ROUND_DOWN)
_POINT = Decimal("0.000000000001")


@dataclass(frozen=True)
class Sold:
    """`net` that a seller sold on a revenue line: in a month, or in one charge's transaction."""

    seller: str
    revenue: str
    net: Decimal
    period: dt.date
    transaction: str = ""


def sold_back(
    seller: str, revenue: str, period: dt.date, net: Decimal, transaction: str = ""
) -> dict[str, str]:
    """A wish of `ledger/sql/shares.sql: share_return`."""
    wish = {
        "seller": seller,
        "revenue": revenue,
        "period": f"{period:%Y-%m-%d}",
        "net": f"{net:f}",
    }
    return {**wish, "transaction": transaction} if transaction else wish


def disputed(sold: Iterable[Sold], part: Decimal, whole: Decimal) -> list[dict[str, str]]:
    """What of sales is in dispute, where `part` of the `whole` that paid for them is."""
    return [
        {
            **sold_back(
                each.seller, each.revenue, each.period, _of(each.net, part, whole), each.transaction
            ),
            "cause": "dispute",
        }
        for each in sold
        if _of(each.net, part, whole) > 0
    ]


def _of(net: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    if part >= whole:
        return net
    return _CUT.divide(_CUT.multiply(net, part), whole).quantize(_POINT, ROUND_DOWN)
