"""Conservation: the stretches of a slot, laid on the clock, leave no gap and no overlap. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tenants.costs.rates import seconds_between


@dataclass(frozen=True)
class Stretch:
    started_at: dt.datetime
    ended_at: dt.datetime
    purpose: str


@dataclass(frozen=True)
class SlotBalance:
    """Slot-seconds of one slot in a window of `clock` seconds.

    clock = sum(by_purpose) - doubled + missing. Balanced books have neither of the last two.
    """

    worker: str
    slot: int
    clock: Decimal
    by_purpose: dict[str, Decimal]
    missing: Decimal  # seconds of the window that no stretch covers
    doubled: Decimal  # seconds counted more than once

    @property
    def accounted(self) -> Decimal:
        return sum(self.by_purpose.values(), Decimal(0))

    @property
    def error(self) -> Decimal:
        """Missing and doubled time as a share of the clock."""
        wrong = self.missing + self.doubled
        return wrong / self.clock if self.clock else wrong


def slot_balance(
    worker: str,
    slot: int,
    stretches: Sequence[Stretch],
    since: dt.datetime,
    until: dt.datetime,
) -> SlotBalance:
    """Lay a slot's stretches on [since, until); what lies outside is cut off."""
    by_purpose: dict[str, Decimal] = {}
    covered = Decimal(0)
    reached = since
    for stretch in sorted(stretches, key=lambda s: s.started_at):
        start, end = max(stretch.started_at, since), min(stretch.ended_at, until)
        if end <= start:
            continue
        seconds = seconds_between(start, end)
        by_purpose[stretch.purpose] = by_purpose.get(stretch.purpose, Decimal(0)) + seconds
        if end > reached:
            covered += seconds_between(max(start, reached), end)
            reached = end
    clock = seconds_between(since, max(since, until))
    accounted = sum(by_purpose.values(), Decimal(0))
    return SlotBalance(
        worker=worker,
        slot=slot,
        clock=clock,
        by_purpose=by_purpose,
        missing=clock - covered,
        doubled=accounted - covered,
    )
