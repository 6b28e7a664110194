"""The kit in a process of its own: what is told, and what is left where it is killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from plugins.host.sandbox import Sandbox
from plugins.kit.judging import JudgingFailed, wheel_judge
from tests.plugins.wheels import wheel_make

MARK = "hangs-in-the-kit"
HANGS = f"""
import time
from pathlib import Path
Path({MARK!r}).touch()
time.sleep(600)
"""


def kit_of_this_process() -> psutil.Process:
    (kit,) = [p for p in psutil.Process().children() if "plugins.kit.judging" in p.cmdline()]
    return kit


def test_a_kit_that_is_killed_in_the_middle_tells_no_verdict_and_leaves_nothing_running(
    sandboxes: dict[str, Sandbox], reachable: Path
) -> None:
    """kill -9 while the plugin that it judges hangs."""
    bench = reachable / "bench"
    bench.mkdir()
    made = sandboxes["none"].runtime
    told: list[str] = []
    running: list[psutil.Process] = []

    def kill(count: int, subject: str) -> None:
        told.append(subject)
        assert count == len(told)
        if subject != "isolation: level":
            return
        deadline = time.monotonic() + 60
        while not list(made.folder.parent.glob(f"child-*/private/{MARK}")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        kit = kit_of_this_process()
        running.extend([kit, *kit.children(recursive=True)])
        os.kill(kit.pid, signal.SIGKILL)

    with pytest.raises(JudgingFailed, match="the kit ended with -9"):
        wheel_judge(
            wheel_make(reachable, "hangs", HANGS),
            bench,
            platform_version="0.1.0",
            limit_s=120.0,
            runtime=made,
            told=kill,
        )
    assert told[-1] == "isolation: level"
    assert len(running) >= 2
    _, left = psutil.wait_procs(running, timeout=10.0)
    assert [each for each in left if each.status() != psutil.STATUS_ZOMBIE] == []
