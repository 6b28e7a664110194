"""Every slot-second is accounted for: a slot's time as contiguous stretches, each for one purpose.

Wall time is read once and then follows the monotonic clock, so that stretches neither overlap nor
leave gaps.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tenants.costs.models import CostEntry, Rate
from tenants.costs.services import slot_time_record
from tenants.costs.slot_time import SlotTime
from tenants.kernel.scope import system_scope
from workers.jobs.claims import Claim


@dataclass(frozen=True)
class Purpose:
    """What a slot is doing, and for whom. Idle and start-up time is nobody's."""

    purpose: str
    tenant_id: str = ""
    job_id: str = ""
    attempt: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


STARTUP = Purpose(CostEntry.Purpose.STARTUP)
IDLE = Purpose(CostEntry.Purpose.IDLE)


def purpose_of(claim: Claim) -> str:
    """What an attempt's first work is for: a later attempt begins by doing work again."""
    return CostEntry.Purpose.RETRY if claim.number > 1 else CostEntry.Purpose.JOB


class SharedTime:
    """A slot's time while it works for several jobs in shared passes: it goes by the work done.

    Where no work was seen (loading, storing), all who are present pay alike.
    """

    def __init__(self) -> None:
        self._present: dict[str, Purpose] = {}
        self._work: dict[tuple[str, str], tuple[Purpose, float]] = {}
        self._lock = threading.Lock()

    def enter(self, purpose: Purpose) -> None:
        """From now on the slot works for this job too, or for it with another purpose."""
        with self._lock:
            self._present[purpose.job_id] = purpose

    def leave(self, job_id: str) -> None:
        """What the job has worked is still paid with the stretch under way."""
        with self._lock:
            self._present.pop(job_id, None)

    def worked(self, job_id: str, amount: float) -> None:
        """Count work of any unit that is the same for all."""
        with self._lock:
            if purpose := self._present.get(job_id):
                key = (job_id, purpose.purpose)
                _, before = self._work.get(key, (purpose, 0.0))
                self._work[key] = (purpose, before + amount)

    def take(self) -> list[tuple[Purpose, float]]:
        """Whom the time since the last call was for, with shares that sum to 1."""
        with self._lock:
            done = [entry for entry in self._work.values() if entry[1] > 0]
            self._work = {}
            if not done:
                done = [(purpose, 1.0) for purpose in self._present.values()] or [(IDLE, 1.0)]
        total = sum(amount for _, amount in done)
        return [(purpose, amount / total) for purpose, amount in done]


class SlotClock:
    """One slot's time. `switch` closes the stretch under way; `take` hands out what is closed."""

    def __init__(
        self,
        *,
        worker_id: str,
        slot: int,
        resource: str,
        now: dt.datetime,
        monotonic: Callable[[], float] = time.monotonic,
        elapsed_s: float = 0.0,
        rate_kind: str = Rate.Kind.ON_DEMAND,
    ) -> None:
        """The first stretch, start-up, began `elapsed_s` before `now`."""
        self._worker_id, self._slot, self._resource = worker_id, slot, resource
        self._rate_kind = rate_kind
        self._monotonic, self._origin = monotonic, monotonic() - elapsed_s
        self._wall = now - dt.timedelta(seconds=elapsed_s)
        self._purpose: Purpose | SharedTime = STARTUP
        self._start, self._sequence = self._wall, 0
        self._closed: list[SlotTime] = []
        self._lock = threading.Lock()

    def switch(self, purpose: Purpose | SharedTime) -> None:
        """From now on the slot is for `purpose`, or for several jobs by their work."""
        with self._lock:
            if purpose != self._purpose:
                self._close()
                self._purpose = purpose

    def take(self) -> list[SlotTime]:
        """Close the stretch under way, go on for the same purpose, and return all closed ones."""
        with self._lock:
            self._close()
            taken, self._closed = self._closed, []
            return taken

    def put_back(self, entries: list[SlotTime]) -> None:
        """What could not be stored waits for the next time."""
        with self._lock:
            self._closed = [*entries, *self._closed]

    def _close(self) -> None:
        end = self._wall + dt.timedelta(seconds=self._monotonic() - self._origin)
        if end <= self._start:
            return
        now = self._purpose
        parts = now.take() if isinstance(now, SharedTime) else [(now, 1.0)]
        begin, whole, done = self._start, end - self._start, 0.0
        for purpose, share in parts:  # laid end to end, so that the slot's time stays whole
            done += share
            self._add(purpose, min(begin + whole * done, end))
        self._add(parts[-1][0], end)

    def _add(self, purpose: Purpose, end: dt.datetime) -> None:
        """The stretch from where the last one ended."""
        if end <= self._start:
            return
        self._closed.append(
            SlotTime(
                worker=self._worker_id,
                slot=self._slot,
                resource=self._resource,
                purpose=purpose.purpose,
                started_at=self._start,
                ended_at=end,
                key=f"{self._worker_id}:{self._slot}:{self._sequence}",
                tenant_id=purpose.tenant_id,
                job_id=purpose.job_id,
                attempt=purpose.attempt,
                labels=purpose.labels,
                rate_kind=self._rate_kind,
            )
        )
        self._start, self._sequence = end, self._sequence + 1


def slots_flush(clocks: list[SlotClock]) -> int:
    """Store what the clocks have; return how many stretches.

    On an error they are kept for later.
    """
    taken = [(clock, clock.take()) for clock in clocks]
    try:
        with system_scope():
            return slot_time_record(entries=[entry for _, entries in taken for entry in entries])
    except BaseException:
        for clock, entries in taken:
            clock.put_back(entries)
        raise
