"""A stretch of time, and stretches within it laid over one another. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from workers.waste.facts import Level


@dataclass(frozen=True)
class Window:
    since: dt.datetime
    until: dt.datetime

    @property
    def seconds(self) -> float:
        return (self.until - self.since).total_seconds()

    def place(self, moment: dt.datetime) -> float:
        """Where it lies, in seconds from the start; what is outside, at the border."""
        inside = min(max(moment, self.since), self.until)
        return (inside - self.since).total_seconds()

    def stretch(self, begin: dt.datetime, end: dt.datetime | None) -> tuple[float, float]:
        """The part of [begin, end) that lies within; one without an end goes on."""
        return self.place(begin), self.place(end or self.until)


def levels_of(stretches: Iterable[tuple[float, float]], begin: float, end: float) -> list[Level]:
    """How long how many of the stretches lay over one another in [begin, end)."""
    changes: dict[float, int] = {begin: 0, end: 0}
    for start, stop in stretches:
        within = max(start, begin), min(stop, end)
        if within[0] < within[1]:
            changes[within[0]] = changes.get(within[0], 0) + 1
            changes[within[1]] = changes.get(within[1], 0) - 1
    found: dict[int, float] = {}
    open_now, before = 0, begin
    for moment in sorted(changes):
        found[open_now] = found.get(open_now, 0.0) + moment - before
        open_now, before = open_now + changes[moment], moment
    return [Level(float(need), seconds) for need, seconds in sorted(found.items()) if seconds > 0]
