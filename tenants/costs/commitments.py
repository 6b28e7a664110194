"""What adopted plans have bought, plan by plan: it runs to the end of its term, whatever follows.

That a plan's purchases were made as it says is what adopting it means. System scope.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tenants.costs.models import PurchasePlan
from tenants.costs.plan_months import month_add, months_between

CENTS = Decimal("0.000001")


@dataclass(frozen=True)
class Commitment:
    """Units of one offer, bought in the month `first`, that serve up to the month `until`.

    `capacity` (slot-hours a month) and `monthly` (cost spread over the term) are of all the units.
    """

    offer: str
    serves: Sequence[str]
    first: dt.date
    until: dt.date
    capacity: float
    monthly: float


def commitments(*, before: dt.date) -> Iterator[Commitment]:
    """All that was bought in months before `before`."""
    for plan in PurchasePlan.objects.filter(adopted_at__isnull=False).order_by("adopted_at"):
        ends = before if plan.ends is None else min(before, plan.ends)
        offers = {row["name"]: row for row in plan.drafted["case"]["offers"]}
        result = plan.result or {"purchases": []}  # an adopted one has it
        for row in result["purchases"]:
            first, offer = month_add(plan.starts, row["month"]), offers[row["offer"]]
            if first < ends:
                yield Commitment(
                    offer=row["offer"],
                    serves=offer["serves"],
                    first=first,
                    until=month_add(plan.starts, row["until"]),
                    capacity=offer["capacity"] * row["units"],
                    monthly=row["cost"] / offer["months"],
                )


def held_by_month(
    classes: Sequence[str], starts: dt.date, months: int
) -> dict[tuple[str, ...], list[float]]:
    """Capacity bought before `starts`, by the classes it serves, for each of `months` from then."""
    held: dict[tuple[str, ...], list[float]] = {}
    for one in commitments(before=starts):
        serves = tuple(sorted(set(one.serves) & set(classes)))
        left = min(months, months_between(starts, one.until))
        if serves and left > 0:
            row = held.setdefault(serves, [0.0] * months)
            row[:left] = [before + one.capacity for before in row[:left]]
    return held


def committed_on(day: dt.date, bought: Sequence[Commitment]) -> Decimal:
    """What a day of what was bought costs, spread evenly over its months."""
    month = day.replace(day=1)
    running = sum(one.monthly for one in bought if one.first <= month < one.until)
    days = calendar.monthrange(day.year, day.month)[1]
    return Decimal(repr(running / days)).quantize(CENTS)
