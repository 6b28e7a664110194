"""Reads what a child prints, keeps the end of it, and stops a flood."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

_KEPT = 16 * 1024


class Drain:
    """A thread on the child's one output pipe; calls `stop` past `limit` bytes."""

    def __init__(
        self, process: subprocess.Popen[bytes], limit: int, stop: Callable[[], None]
    ) -> None:
        assert process.stdout is not None  # noqa: S101 - Popen was told so
        self._pipe = process.stdout
        self._limit = limit
        self._stop = stop
        self._tail = bytearray()
        self.flooded = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def tail(self) -> str:
        return self._tail.decode(errors="replace")

    def close(self) -> None:
        """Wait for the end of the pipe; a process that kept it open cannot hold us."""
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        seen = 0
        with self._pipe:
            while piece := self._pipe.read1(65536):  # type: ignore[attr-defined]
                seen += len(piece)
                self._tail += piece
                del self._tail[:-_KEPT]
                if seen > self._limit and not self.flooded:
                    self.flooded = True
                    self._stop()
