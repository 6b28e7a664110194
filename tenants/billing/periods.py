"""Billing periods: calendar months in UTC. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from tenants.kernel.errors import InvalidInput


@dataclass(frozen=True, order=True)
class Period:
    """One UTC month; `month` is its first day. Raises ValueError for another day."""

    month: dt.date

    def __post_init__(self) -> None:
        if self.month.day != 1:
            raise ValueError(f"a period is named by its first day, not by {self.month}")

    @classmethod
    def of(cls, moment: dt.datetime) -> Period:
        """The period that `moment` lies in. Raises ValueError for a naive moment."""
        if moment.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return cls(moment.astimezone(dt.UTC).date().replace(day=1))

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read `2026-11`. Raises InvalidInput."""
        try:
            return cls(dt.datetime.strptime(text, "%Y-%m").replace(tzinfo=dt.UTC).date())
        except ValueError as error:
            raise InvalidInput(f"{text!r} is not a month like 2026-11", param="period") from error

    @property
    def start(self) -> dt.datetime:
        """First moment, inclusive."""
        return dt.datetime(self.month.year, self.month.month, 1, tzinfo=dt.UTC)

    @property
    def end(self) -> dt.datetime:
        """First moment of the next period: exclusive."""
        return self.next().start

    def next(self) -> Period:
        return Period((self.month + dt.timedelta(days=31)).replace(day=1))

    def previous(self) -> Period:
        return Period((self.month - dt.timedelta(days=1)).replace(day=1))

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"
