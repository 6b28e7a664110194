"""Warm children by (plugin, version, tenant): a child never serves a second tenant."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from plugins.host.errors import CallFailed
from plugins.host.process import Child

Key = tuple[str, str, str]
_HARMLESS = frozenset({"refused", "raised"})  # the child still keeps its word


class Pool:
    """Keeps the `most_idle` children that were used last, none idle for longer than `idle_s`."""

    def __init__(self, *, most_idle: int = 16, idle_s: float = 300.0, most_calls: int = 1000):
        self._most_idle = most_idle
        self._idle_s = idle_s
        self._most_calls = most_calls
        self._lock = threading.Lock()
        self._idle: dict[Key, list[tuple[float, Child]]] = defaultdict(list)
        self._calls: dict[int, int] = {}
        self._closed = False

    @contextmanager
    def child(self, key: Key, start: Callable[[], Child], spare_s: float) -> Iterator[Child]:
        """A child of that key for one call. `spare_s`: CPU seconds past which it is retired."""
        child = self._taken(key) or start()
        keep = False
        try:
            yield child
            keep = True
        except CallFailed as error:
            keep = error.failure.kind in _HARMLESS
            raise
        finally:
            count = self._calls.pop(id(child), 0) + 1
            keep = keep and child.alive() and count < self._most_calls and child.cpu_s() < spare_s
            if keep:
                self._give_back(key, child, count)
            else:
                child.close()

    def drop(self, plugin: str) -> None:
        """End a plugin's idle children: it was disabled, upgraded or suspended."""
        self._end(lambda key, _: key[0] == plugin)

    def sweep(self) -> None:
        """End what has been idle for too long."""
        oldest = time.monotonic() - self._idle_s
        self._end(lambda _, since: since < oldest)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._end(lambda _key, _since: True)

    def _taken(self, key: Key) -> Child | None:
        self.sweep()
        with self._lock:
            while self._idle[key]:
                _, child = self._idle[key].pop()
                if child.alive():
                    return child
                child.close()
            del self._idle[key]
        return None

    def _give_back(self, key: Key, child: Child, count: int) -> None:
        ended: Child | None = child
        with self._lock:
            if not self._closed:
                self._calls[id(child)] = count
                self._idle[key].append((time.monotonic(), child))
                ended = self._one_too_many()
        if ended is not None:
            ended.close()

    def _one_too_many(self) -> Child | None:
        """Taken out, where there are too many: the one that has been idle the longest."""
        if sum(map(len, self._idle.values())) <= self._most_idle:
            return None
        longest = min(filter(None, self._idle.values()), key=lambda children: children[0][0])
        _, child = longest.pop(0)
        self._calls.pop(id(child), None)
        return child

    def _end(self, chosen: Callable[[Key, float], bool]) -> None:
        ended: list[tuple[float, Child]] = []
        with self._lock:
            for key in list(self._idle):
                stay: list[tuple[float, Child]] = []
                for since, child in self._idle[key]:
                    (ended if chosen(key, since) else stay).append((since, child))
                self._idle[key] = stay
            for _, child in ended:
                self._calls.pop(id(child), None)
        for _, child in ended:
            child.close()
