"""What a unit costs, three ways, from what its work took. Pure.

- *short-run marginal*: what not selling it would save. Time of capacity that is paid for anyway
  (owned, reserved) saves nothing; where that capacity is full, it has an opportunity cost instead.
- *long-run average*: at planned utilisation and planned volume of overhead, whatever the volume
  was (standard costing): a fall in volume does not raise it.
- *incremental*: what a contract adds over its term, beyond the capacity that stands idle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tenants.costs.allocation import Overhead
from tenants.kernel.errors import InvalidInput

ONE = Decimal(1)
NONE: Mapping[str, Decimal] = {}


@dataclass(frozen=True)
class Assumptions:
    """The choices in unit costs.

    `avoidable`: the share of a resource's cost that not working saves, 1 where unnamed.
    `opportunity`: money for a second of a resource that is full, from procurement's duals.
    `per_unit`: fixed payment fees, support and refunds expected for a unit.
    `overhead_rate`: overhead for a unit at planned volume, beside what `overheads` come to by their
    drivers.
    `retries_in_units`: whether units bear work done again, or the company does.
    """

    planned_utilisation: Decimal = Decimal("0.70")
    avoidable: Mapping[str, Decimal] = field(default_factory=lambda: NONE)
    opportunity: Mapping[str, Decimal] = field(default_factory=lambda: NONE)
    per_unit: Decimal = Decimal(0)
    overhead_rate: Decimal = Decimal(0)
    overheads: Sequence[Overhead] = ()
    retries_in_units: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.planned_utilisation <= 1:
            raise InvalidInput(
                "planned utilisation is a share above 0 and at most 1",
                param="planned_utilisation",
            )


@dataclass(frozen=True)
class Work:
    """Slot time that units took on one resource: its cost and seconds, retries apart."""

    resource: str
    amount: Decimal
    seconds: Decimal
    retry: Decimal = Decimal(0)


@dataclass(frozen=True)
class MonthOfTerm:
    """A month of a contract: its units, and the seconds of capacity that would stand idle."""

    units: Decimal
    spare_seconds: Decimal = Decimal(0)


def short_run(work: Sequence[Work], units: Decimal, given: Assumptions) -> Decimal:
    """The marginal cost of a unit now. Raises ZeroDivisionError without units."""
    saved = sum(
        (
            _direct(part, given) * given.avoidable.get(part.resource, ONE)
            + part.seconds * given.opportunity.get(part.resource, Decimal(0))
            for part in work
        ),
        Decimal(0),
    )
    return saved / units + given.per_unit


def long_run(work: Sequence[Work], units: Decimal, given: Assumptions) -> Decimal:
    """The average cost of a unit at plan. Raises ZeroDivisionError without units."""
    direct = sum((_direct(part, given) for part in work), Decimal(0))
    seconds = sum((part.seconds for part in work), Decimal(0))
    overhead = sum(
        (
            one.amount / one.planned * (seconds if one.driver == "seconds" else direct)
            for one in given.overheads
        ),
        Decimal(0),
    )
    at_plan = direct / units / given.planned_utilisation
    return at_plan + overhead / units + given.per_unit + given.overhead_rate


def incremental(
    months: Sequence[MonthOfTerm], *, seconds_per_unit: Decimal, rate: Decimal, given: Assumptions
) -> Decimal:
    """What a unit of a contract adds over its term; `rate` is money for a second of new capacity.

    Raises InvalidInput for a term without units.
    """
    units = sum((month.units for month in months), Decimal(0))
    if units <= 0:
        raise InvalidInput("a term has units", param="months")
    bought = sum(
        (
            max(
                Decimal(0),
                month.units * seconds_per_unit / given.planned_utilisation - month.spare_seconds,
            )
            for month in months
        ),
        Decimal(0),
    )
    return bought * rate / units + given.per_unit


def _direct(part: Work, given: Assumptions) -> Decimal:
    return part.amount + (part.retry if given.retries_in_units else Decimal(0))
