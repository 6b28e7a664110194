"""Faults that a test asks for: before a request is acted upon, or after it and unheard."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event


class What(StrEnum):
    REFUSE = "refuse"  # the connection breaks; nothing was done
    LOSE = "lose"  # it was done; the connection breaks
    STATUS = "status"  # nothing was done; an answer of `status`
    HOLD = "hold"  # it is in flight until `release`; then it is done, heard or not
    DIE = "die"  # the process ends; nothing was done
    DIE_AFTER = "die_after"  # it was done; the process ends


@dataclass
class Fault:
    """On the `skip`-th request that matches, and the `times - 1` after it.

    `match` is a part of "POST /v1/refunds".
    """

    what: What
    match: str = ""
    skip: int = 0
    times: int = 1
    status: int = 500


@dataclass
class Faults:
    """`in_flight`: idempotency keys of the requests that are held."""

    planned: list[Fault] = field(default_factory=list)
    in_flight: list[str] = field(default_factory=list)
    _released: Event = field(default_factory=Event)

    def hold(self) -> Event:
        """What a held request waits for."""
        return self._released

    def release(self) -> None:
        self._released.set()
        self._released = Event()

    def due(self, request: str) -> Fault | None:
        """The fault that meets this request, if any; it is then counted."""
        for fault in self.planned:
            if fault.times > 0 and fault.match in request:
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None
