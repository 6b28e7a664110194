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

from tenants.costs.models import CostEntry
from tenants.costs.services import slot_time_record
from tenants.costs.slot_time import SlotTime
from tenants.kernel.scope import system_scope


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
    ) -> None:
        """The first stretch, start-up, began `elapsed_s` before `now`."""
        self._worker_id, self._slot, self._resource = worker_id, slot, resource
        self._monotonic, self._origin = monotonic, monotonic() - elapsed_s
        self._wall = now - dt.timedelta(seconds=elapsed_s)
        self._start, self._purpose, self._sequence = self._wall, STARTUP, 0
        self._closed: list[SlotTime] = []
        self._lock = threading.Lock()

    def switch(self, purpose: Purpose) -> None:
        """From now on the slot is for `purpose`."""
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
        self._closed.append(
            SlotTime(
                worker=self._worker_id,
                slot=self._slot,
                resource=self._resource,
                purpose=self._purpose.purpose,
                started_at=self._start,
                ended_at=end,
                key=f"{self._worker_id}:{self._slot}:{self._sequence}",
                tenant_id=self._purpose.tenant_id,
                job_id=self._purpose.job_id,
                attempt=self._purpose.attempt,
                labels=self._purpose.labels,
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
