"""Ordinary user ids for children: as root each gets its own, so that its processes are its own."""

from __future__ import annotations

import os
import pwd
import threading

_FIRST, _LAST = 61184, 65519  # systemd's range of dynamic users: nobody's for good


class UserIds:
    """Lends each id to one child at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        named = {entry.pw_uid for entry in pwd.getpwall()}
        first = _FIRST + os.getpid() % 4000  # two hosts on one machine seldom meet
        order = [*range(first, _LAST + 1), *range(_FIRST, first)]
        self._free: list[int] = [uid for uid in reversed(order) if uid not in named]

    def take(self) -> int:
        """Our own id where we are no root."""
        if os.getuid() != 0:
            return os.getuid()
        with self._lock:
            return self._free.pop()

    def give_back(self, uid: int) -> None:
        if os.getuid() == 0:
            with self._lock:
                self._free.insert(0, uid)
