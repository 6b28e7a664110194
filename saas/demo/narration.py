"""What the demo says while it runs: numbered steps, with the time each took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Narration:
    """Prints to a terminal or a log alike; nothing moves the cursor."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._step = 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        self._step += 1
        began = time.monotonic()
        self._write(f"\n{self._step:2d}  {title}")
        yield
        self.say(f"({time.monotonic() - began:.1f} s)")

    def say(self, text: str) -> None:
        self._write("\n".join(f"    {line}" for line in text.splitlines()))

    def table(self, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
        """Print rows under a header, first column left, the others right."""
        widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
        for row in (header, *rows):
            cells = [
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.say("  ".join(cells))

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def _write(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
