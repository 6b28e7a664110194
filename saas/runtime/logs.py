"""Each service's log: `$VAR/log/NAME.log`, the one before it kept once it has grown."""

from __future__ import annotations

from pathlib import Path

MAX_BYTES = 20_000_000


def rotate(log: Path) -> None:
    """Move a grown log aside; called while nobody writes it."""
    if log.is_file() and log.stat().st_size > MAX_BYTES:
        log.replace(log.with_suffix(".log.1"))


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines, for a message about a failure."""
    if not log.is_file():
        return ""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 16_000))
        text = stream.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])
