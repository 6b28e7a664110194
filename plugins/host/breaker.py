"""A circuit breaker and health for each plugin: facts that the platform stores and acts upon."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from plugins.host.facts import ITS_OWN, Failure

_OPENS = ITS_OWN | {"unavailable"}  # what cannot be started is not tried at every call either


@dataclass(frozen=True)
class Health:
    """What happened since the host started. `open` says that calls are refused for now."""

    calls: int
    failures: Mapping[str, int]  # by kind
    in_a_row: int
    open: bool
    last: Failure | None


@dataclass
class _State:
    calls: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    in_a_row: int = 0
    opened_at: float | None = None
    last: Failure | None = None


class Breaker:
    """Opens after `failures` in a row; after `pause_s` lets one call at a time try again."""

    def __init__(
        self,
        *,
        failures: int = 5,
        pause_s: float = 60.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = failures
        self._pause = pause_s
        self._now = now
        self._lock = threading.Lock()
        self._states: dict[str, _State] = {}

    def allows(self, plugin: str) -> bool:
        """Whether to call now. While open, one call after each pause goes through."""
        with self._lock:
            state = self._states.setdefault(plugin, _State())
            if state.opened_at is None:
                return True
            if self._now() - state.opened_at < self._pause:
                return False
            state.opened_at = self._now()
            return True

    def record(self, plugin: str, failure: Failure | None) -> None:
        with self._lock:
            state = self._states.setdefault(plugin, _State())
            state.calls += 1
            if failure is None:
                state.in_a_row, state.opened_at = 0, None
                return
            state.failures[failure.kind] += 1
            state.last = failure
            if failure.kind not in _OPENS:
                return
            state.in_a_row += 1
            if state.in_a_row >= self._most:
                state.opened_at = self._now()

    def health(self, plugin: str) -> Health:
        with self._lock:
            state = self._states.get(plugin, _State())
            failures = dict(state.failures)
            opened = state.opened_at is not None
            return Health(state.calls, failures, state.in_a_row, opened, state.last)
