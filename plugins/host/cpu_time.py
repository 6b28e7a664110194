"""Processor time of a process and of all that it started, by the kernel's count."""

from __future__ import annotations

import os
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_UTIME, _CSTIME = 11, 15  # fields after the name: own user and system time, then that of the dead


def tree_cpu_s(pid: int) -> float:
    """Seconds of `pid`, its living descendants, and the ended ones that were waited for.

    0.0 for a process that is gone. A sandbox with process ids of its own lies between us and what
    we started in it, so the first process alone tells nothing. proc(5).
    """
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            tasks = list(Path(f"/proc/{one}/task").iterdir())
            waiting += [int(c) for t in tasks for c in (t / "children").read_text().split()]
        except OSError:  # it has ended meanwhile
            continue
        total += sum(map(int, fields[_UTIME:_CSTIME]))
    return total / TICKS_PER_S
