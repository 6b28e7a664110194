"""The heart of a slot's work: a thread that renews the lease, fetches orders and stores progress.

Short transactions only. The lease counts, by this machine's monotonic clock, from before the
renewal was asked for, so that it never outlasts the database's view of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Self

import structlog

from tenants.kernel.errors import FencedOut
from workers.jobs.fencing import Lease
from workers.jobs.leases import Line, Orders, Standing, job_beat
from workers.tasks.database import OUTAGES, brief_connections

log = structlog.get_logger(__name__)

FLUSH_S = 1.0  # progress reaches the database about this often
MAX_LINES = 500  # kept while the database is away


class Voice:
    """What one attempt has to tell the database, and what the database wants of it."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.orders = Orders.GO
        self.fenced_out = False
        self._standing: Standing | None = None
        self._lines: list[Line] = []
        self._storing, self._flushing = threading.Lock(), threading.Lock()

    def stands(self, standing: Standing) -> None:
        """Remember the newest standing for the next flush."""
        with self._storing:
            self._standing = standing

    def says(self, line: Line) -> None:
        """Remember a line for the next flush."""
        with self._storing:
            self._lines = [*self._lines[-MAX_LINES:], line]

    def flush(self) -> None:
        """Store what is remembered. Raises FencedOut, or an outage: then it stays remembered."""
        with self._flushing:
            with self._storing:
                standing, lines = self._standing, self._lines
                self._standing, self._lines = None, []
            if standing is None and not lines:
                return
            try:
                self.orders = job_beat(lease=self.lease, standing=standing, lines=lines)
            except FencedOut:
                self.fenced_out = True
                raise
            except OUTAGES:
                with self._storing:
                    self._standing = self._standing or standing
                    self._lines = [*lines, *self._lines]
                raise


class Heart:
    """Beats for the voices of one lease, until it is stopped, fenced out, or too late."""

    def __init__(
        self,
        *,
        renew: Callable[[float], Mapping[str, Orders]],
        lease_s: float,
        claimed_at: float,
        deserves_lease: Callable[[], bool],
    ) -> None:
        """`renew` extends the lease by so many seconds and returns orders by attempt.

        `claimed_at` is when the claim was asked for, by the monotonic clock.
        """
        self.voices: list[Voice] = []
        self._renewal, self._lease_s = renew, lease_s
        self._until = claimed_at + lease_s
        self._deserves_lease = deserves_lease
        self._fenced_out = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def fenced_out(self) -> bool:
        """Whether the lease, or every voice's part in it, was taken over."""
        voices = self.voices
        return self._fenced_out or (bool(voices) and all(v.fenced_out for v in voices))

    def lease_until(self) -> float:
        """When the right to act ends, by the monotonic clock; past already once fenced out."""
        return float("-inf") if self.fenced_out else self._until

    @property
    def is_lost(self) -> bool:
        """Whether the right to act has gone."""
        return time.monotonic() > self.lease_until()

    def join(self, voice: Voice) -> None:
        self.voices = [*self.voices, voice]

    def leave(self, voice: Voice) -> None:
        self.voices = [each for each in self.voices if each is not voice]

    def _run(self) -> None:
        pause = min(self._lease_s / 3, FLUSH_S)
        renew_at = self._until - self._lease_s * 2 / 3
        while not self._stopping.wait(pause) and not self.fenced_out:
            try:
                with brief_connections():
                    if time.monotonic() >= renew_at and self._deserves_lease():
                        self._renew()
                        renew_at = self._until - self._lease_s * 2 / 3
                    for voice in self.voices:
                        self._flush(voice)
            except FencedOut:
                self._fenced_out = True
            except OUTAGES as error:
                log.warning("heartbeat missed", error=str(error))

    def _flush(self, voice: Voice) -> None:
        """One who was taken over is told so; the others' lease goes on."""
        if not voice.fenced_out:
            try:
                voice.flush()
            except FencedOut:
                log.warning("fenced out", job_id=voice.lease.job_id)

    def _renew(self) -> None:
        asked_at, voices = time.monotonic(), self.voices
        wanted = self._renewal(self._lease_s)
        self._until = asked_at + self._lease_s
        for voice in voices:
            voice.orders = wanted.get(voice.lease.attempt_id, voice.orders)
            voice.fenced_out = voice.fenced_out or voice.lease.attempt_id not in wanted
