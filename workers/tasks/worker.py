"""A worker process: its slots, its claim loop, its pulse, its drain.

One per process, threads for slots.
"""

from __future__ import annotations

import queue as queues
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psutil
import structlog
from django.conf import settings

from tenants.costs.models import CostEntry
from tenants.kernel.clock import now
from workers.jobs.claims import Claim, claim
from workers.jobs.offers import offers_now
from workers.jobs.slots import IDLE, Purpose, SlotClock, purpose_of, slots_flush
from workers.jobs.workers import (
    worker_drain,
    worker_heartbeat,
    worker_register,
    worker_resume,
    worker_stop,
)
from workers.tasks.cohort import CohortSupervision
from workers.tasks.database import OUTAGES, brief_connections, persistently
from workers.tasks.scratch import scratch_sweep
from workers.tasks.supervise import Supervision

log = structlog.get_logger(__name__)

PULSE_S = 3.0
REGISTER_S = 60.0  # how long a worker waits for the database before it gives up


class WorkerProcess:
    """This process as the platform knows it. `slots` attempts run at once, each in its thread."""

    def __init__(self, *, name: str, queue_names: Sequence[str], slots: int) -> None:
        self.draining = threading.Event()
        self._ending = False  # it drains because its process ends; nobody takes that back
        self._told_drain = False
        self._stopped = threading.Event()
        memory = psutil.virtual_memory().total // max(slots, 1)
        deadline = time.monotonic() + REGISTER_S
        self.row = persistently(
            lambda: worker_register(
                name=name,
                worker_class=settings.WORKER_CLASS,
                queues=queue_names,
                slots=slots,
                memory_bytes=memory,
                rate_kind=settings.WORKER_RATE_KIND,
            ),
            until=lambda: deadline,
        )
        self._clocks = [self._clock(slot) for slot in range(slots)]
        self._free: queues.SimpleQueue[int] = queues.SimpleQueue()
        for slot in range(slots):
            self._free.put(slot)
            self._clocks[slot].switch(IDLE)
        self._prices: Mapping[str, float] = {}
        self._pulse = threading.Thread(target=self._beat, name="pulse", daemon=True)
        self._pulse.start()

    def work(self, queue: str) -> int:
        """Claim and supervise until the queue is empty or we drain; return how many ran."""
        with suppress(queues.Empty):
            slot = self._free.get_nowait()
            try:
                return self._work(queue, slot)
            finally:
                self._free.put(slot)
        return 0  # more hints than slots; whoever has a slot claims on

    def drain(self) -> None:
        """Claim no more; running attempts snapshot and hand their jobs back."""
        self._ending = True
        self.draining.set()

    def stop(self) -> None:
        """Account for the last seconds and sign off."""
        self._stopped.set()
        self._pulse.join()
        with suppress(*OUTAGES), brief_connections():
            slots_flush(self._clocks)
            worker_stop(worker_id=self.row.id)

    def _clock(self, slot: int) -> SlotClock:
        """A slot's time begins with the process: what it took to start is paid for too."""
        since_boot = time.time() - psutil.Process().create_time()
        return SlotClock(
            worker_id=self.row.id,
            slot=slot,
            resource=f"worker.{settings.WORKER_CLASS}",
            now=now(),
            elapsed_s=max(since_boot, 0.0),
            rate_kind=settings.WORKER_RATE_KIND,
        )

    def _work(self, queue: str, slot: int) -> int:
        count = 0
        while not self.draining.is_set():
            asked_at = time.monotonic()
            found = self._claim(queue, slot)
            if found is None:
                break
            self._supervise(found, asked_at, self._clocks[slot])
            count += 1
        return count

    def _claim(self, queue: str, slot: int) -> Claim | None:
        try:
            with brief_connections():
                return claim(
                    worker_id=self.row.id,
                    slot=slot,
                    queue=queue,
                    lease_s=settings.LEASE_S,
                    prices=self._prices,
                )
        except OUTAGES as error:  # the periodic hints bring us back
            log.warning("no claim: the database is away", error=str(error))
            return None

    def _supervise(self, found: Claim, asked_at: float, clock: SlotClock) -> None:
        try:
            if found.cohort_id:
                self._supervise_cohort(found, asked_at, clock)
                return
            clock.switch(_purpose(found, purpose_of(found)))
            Supervision(
                found,
                claimed_at=asked_at,
                draining=self.draining,
                on_new_ground=lambda: clock.switch(_purpose(found, CostEntry.Purpose.JOB)),
            ).run()
        finally:
            clock.switch(IDLE)

    def _supervise_cohort(self, found: Claim, asked_at: float, clock: SlotClock) -> None:
        cohort = CohortSupervision(
            found,
            claimed_at=asked_at,
            draining=self.draining,
            purpose=_purpose,
            prices=self._prices,
        )
        clock.switch(cohort.time)
        cohort.run()

    def beat(self) -> None:
        """One pulse: tell that we live, do as asked, account for the time."""
        with brief_connections():
            busy = len(self._clocks) - self._free.qsize()
            self._obey(drain=worker_heartbeat(worker_id=self.row.id, busy=busy))
            slots_flush(self._clocks)
            self._prices = {o.worker_class: float(o.price) for o in offers_now()}
            scratch_sweep()
            self._tell_drain()

    def _beat(self) -> None:
        while not self._stopped.wait(PULSE_S):
            try:
                self.beat()
            except Exception as error:  # noqa: BLE001 -- the pulse must go on
                log.warning("pulse missed", error=str(error))

    def _obey(self, *, drain: bool) -> None:
        """An operator may have it drain, and claim again; the end of its process is for good."""
        if drain or self._ending:
            self.draining.set()
        else:
            self.draining.clear()

    def _tell_drain(self) -> None:
        """Tell the platform when that changes."""
        drains = self.draining.is_set()
        if drains and not self._told_drain:
            worker_drain(worker_id=self.row.id)
        elif self._told_drain and not drains:
            worker_resume(worker_id=self.row.id)
        self._told_drain = drains


def _purpose(found: Claim, purpose: str) -> Purpose:
    return Purpose(
        purpose,
        tenant_id=found.lease.tenant_id,
        job_id=found.lease.job_id,
        attempt=found.number,
        labels=_labels(found),
    )


def _labels(found: Claim) -> dict[str, str]:
    spec: Mapping[str, Any] = found.spec
    method = (spec.get("settings") or {}).get("method")
    given = {
        "kind": found.kind.value,
        "base": spec.get("base_id"),
        "method": method,
        "cohort": found.cohort_id,
    }
    return {name: str(value) for name, value in given.items() if value}
