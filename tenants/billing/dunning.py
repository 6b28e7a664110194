"""Dunning: what an unpaid invoice calls for, and when. Pure: decides, and does nothing.

Remind, then suspend new work, then close. Data is kept throughout.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import TextChoices

from tenants.billing.states import InvoiceState


class Step(TextChoices):
    REMIND = "remind"
    SUSPEND = "suspend"
    CLOSE = "close"


@dataclass(frozen=True)
class Schedule:
    """Days after the due date on which each step is taken."""

    remind: tuple[int, ...]
    suspend: int
    close: int

    def __post_init__(self) -> None:
        days = (*self.remind, self.suspend, self.close)
        if list(days) != sorted(days) or min(days) < 0:
            raise ValueError(f"dunning days rise from reminders to suspension to closing: {days}")


@dataclass(frozen=True)
class Debt:
    """What dunning looks at: an invoice's state, due date and what is left to pay."""

    state: str
    due_at: dt.datetime
    remaining: Decimal


@dataclass(frozen=True)
class Taken:
    """A step taken at `at`, for the schedule's `day`."""

    step: str
    day: int
    at: dt.datetime


@dataclass(frozen=True)
class Due:
    """A step that is to be taken now, for the schedule's `day`."""

    step: Step
    day: int


def step_due(
    debt: Debt, *, now: dt.datetime, taken: Sequence[Taken], schedule: Schedule
) -> Due | None:
    """Return the one step to take now, or None.

    Reminders that were missed because nobody looked are not sent in a row: the latest stands for
    them. No tenant is suspended before one reminder went out, where there are any, nor closed
    before the suspension has lasted as long as the schedule says.
    """
    if debt.state != InvoiceState.OPEN or debt.remaining <= 0:
        return None
    late = now - debt.due_at
    reminded = [t.day for t in taken if t.step == Step.REMIND]
    suspended = [t.at for t in taken if t.step == Step.SUSPEND]
    if suspended:
        return _closing(late, now - min(suspended), taken, schedule)
    if _passed(late, schedule.suspend) and (reminded or not schedule.remind):
        return Due(Step.SUSPEND, schedule.suspend)
    latest = max((day for day in schedule.remind if _passed(late, day)), default=None)
    if latest is None or any(day >= latest for day in reminded):
        return None
    return Due(Step.REMIND, latest)


def _closing(
    late: dt.timedelta, since_suspension: dt.timedelta, taken: Sequence[Taken], schedule: Schedule
) -> Due | None:
    if any(t.step == Step.CLOSE for t in taken):
        return None
    ripe = _passed(late, schedule.close)
    ripe = ripe and _passed(since_suspension, schedule.close - schedule.suspend)
    return Due(Step.CLOSE, schedule.close) if ripe else None


def _passed(elapsed: dt.timedelta, days: int) -> bool:
    return elapsed >= dt.timedelta(days=days)
