"""The watchdog of an attempt: a child that does not move forward, or has lost its lease, is ended.

A thread of its own, without database or storage, so that nothing slow can hold it up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Self

from workers.jobs.progress import Pace
from workers.tasks.process import GRACE_S, Child

TICK_S = 0.1
STEP_S = 60.0  # the shortest deadline for a step
USUAL_STEPS = 10  # a step may take this many times as long as usual


class Phase(StrEnum):
    LOADING = "loading"  # until the first beat: files, model
    STEP = "step"
    STORING = "storing"  # sealing a snapshot, a checkpoint, the result


LIMITS_S = {Phase.LOADING: 600.0, Phase.STORING: 600.0}


class Watch:
    """Ends the child by TERM and KILL past the phase's deadline, at once past the lease's."""

    def __init__(self, lease_until: Callable[[], float]) -> None:
        self.reason = ""  # why the child was ended, once it was
        self.pace = Pace()
        self._lease_until = lease_until
        self.child: Child | None = None
        self._phase, self._since = Phase.LOADING, time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    @property
    def is_late(self) -> bool:
        """Whether the deadline passed so long ago that the attempt deserves its lease no more."""
        return time.monotonic() > self._since + self._limit() + 3 * GRACE_S

    def guard(self, child: Child) -> None:
        self.child = child

    def enter(self, phase: Phase) -> None:
        """The attempt is in `phase` from now on."""
        self._phase, self._since = phase, time.monotonic()

    @contextmanager
    def storing(self) -> Iterator[None]:
        """The parent works for the child; afterwards the child's time begins anew."""
        phase = self._phase
        self.enter(Phase.STORING)
        try:
            yield
        finally:
            self.enter(phase)

    def moved(self, step: int) -> float:
        """The child moved forward; returns when, by the monotonic clock."""
        at = time.monotonic()
        self.pace.moved(step, at)
        self.enter(Phase.STEP)
        return at

    def _limit(self) -> float:
        usual = self.pace.seconds or 0.0
        return LIMITS_S.get(self._phase, max(STEP_S, USUAL_STEPS * usual))

    def _run(self) -> None:
        while not self._stopping.wait(TICK_S):
            now = time.monotonic()
            if now > self._lease_until():
                self._end("the lease ran out", grace_s=0)
            elif now > self._since + self._limit():
                self._end(
                    f"no progress within {self._limit():.0f} s ({self._phase})", grace_s=GRACE_S
                )

    def _end(self, reason: str, *, grace_s: float) -> None:
        self.reason = self.reason or reason
        if self.child is None:
            return
        if grace_s and self.child.wait(0) is None:
            self.child.terminate()
            self.child.wait(grace_s)
        self.child.kill()
