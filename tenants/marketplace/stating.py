"""What a partner's month adds up: shares by seller and revenue line. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

ZERO = Decimal(0)
SALE, MINIMUM = "sale", "minimum"


class Row(Protocol):
    """A share, as it was booked."""

    cause: str
    seller: str
    revenue: str
    net: Decimal
    amount: Decimal
    cost: Decimal


@dataclass(frozen=True)
class Summary:
    """`share` - `cost` + `returns` + `minimum` is what the month brought."""

    lines: tuple[dict[str, Any], ...]
    sales: Decimal
    share: Decimal
    cost: Decimal
    returns: Decimal
    minimum: Decimal

    @property
    def total(self) -> Decimal:
        return self.share - self.cost + self.returns + self.minimum


def summary_of(rows: Iterable[Row]) -> Summary:
    """Sum a month's shares; one line for each cause, seller and revenue line."""
    sums: dict[tuple[str, str, str], list[Decimal]] = {}
    for row in rows:
        line = sums.setdefault((row.cause, row.seller, row.revenue), [ZERO, ZERO, ZERO])
        for place, value in enumerate((row.net, row.amount, row.cost)):
            line[place] += value
    lines = tuple(
        {
            "cause": cause,
            "seller": seller,
            "revenue": revenue,
            "net": f"{net:f}",
            "share": f"{share:f}",
            "cost": f"{cost:f}",
        }
        for (cause, seller, revenue), (net, share, cost) in sorted(sums.items())
    )
    of = {
        kind: [value for (cause, _, _), value in sums.items() if _kind(cause) == kind]
        for kind in ("sale", "return", "minimum")
    }
    return Summary(
        lines=lines,
        sales=sum((each[0] for each in of["sale"]), ZERO),
        share=sum((each[1] for each in of["sale"]), ZERO),
        cost=sum((each[2] for each in of["sale"]), ZERO),
        returns=sum((each[1] - each[2] for each in of["return"]), ZERO),
        minimum=sum((each[1] for each in of["minimum"]), ZERO),
    )


def _kind(cause: str) -> str:
    return cause if cause in {SALE, MINIMUM} else "return"
