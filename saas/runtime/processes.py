"""Which processes belong to a data folder, recognised by more than a number that is used again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "BREAKWATER_SUPERVISED"  # set in the environment of everything that a supervisor starts


@dataclass(frozen=True)
class Identity:
    """A process id and the clock tick (since boot) at which its process began."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        return identify(self.pid) == self

    def signal(self, number: int) -> None:
        """Send a signal; a process gone meanwhile is no error."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


def identify(pid: int) -> Identity | None:
    """Return the living process of that number, None where there is none (or only a zombie)."""
    fields = _stat(pid)
    if fields is None or fields[0] in {"Z", "X"}:
        return None
    return Identity(pid, int(fields[19]))


def parent_of(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def children_of(pid: int) -> list[Identity]:
    """Return the living direct children."""
    found = (identify(each) for each in _pids() if parent_of(each) == pid)
    return [identity for identity in found if identity is not None]


def marked(var: Path) -> list[Identity]:
    """Return the living processes that a supervisor of this data folder brought into the world.

    The caller and its ancestors are left out. Programs that write their title over their
    environment (PostgreSQL's backends) hide from this: see `family`.
    """
    mark = f"{MARK}={var}".encode()
    spared = _self_and_ancestors()
    found = (identify(pid) for pid in _pids() if pid not in spared and mark in _environment(pid))
    return [identity for identity in found if identity is not None]


def family(roots: Iterable[Identity]) -> list[Identity]:
    """Return the living among `roots` and all their descendants."""
    waiting = [root for root in roots if root.alive]
    found: dict[int, Identity] = {}
    while waiting:
        each = waiting.pop()
        if each.pid not in found:
            found[each.pid] = each
            waiting.extend(children_of(each.pid))
    return list(found.values())


def end(roots: Sequence[Identity], *, polite_s: float) -> list[Identity]:
    """Ask with SIGTERM, wait, then kill, descendants too; return what is still alive even so."""
    everyone = family(roots)
    for root in roots:
        root.signal(signal.SIGTERM)
        root.signal(signal.SIGCONT)  # a stopped process hears nothing else
    left = family(wait_gone(everyone, limit_s=polite_s))
    for process in left:
        process.signal(signal.SIGKILL)
    return wait_gone(left, limit_s=5.0)


def wait_gone(processes: Iterable[Identity], *, limit_s: float) -> list[Identity]:
    """Wait until all are gone or the limit has passed; return those still alive."""
    deadline = time.monotonic() + limit_s
    waiting = [process for process in processes if process.alive]
    while waiting and time.monotonic() < deadline:
        time.sleep(0.02)
        waiting = [process for process in waiting if process.alive]
    return waiting


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name: state, parent, …, 19 = start tick."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208


def _self_and_ancestors() -> set[int]:
    found: set[int] = set()
    pid: int | None = os.getpid()
    while pid:
        found.add(pid)
        pid = parent_of(pid)
    return found
