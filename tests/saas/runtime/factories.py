"""Data folders and supervisors for these tests: real processes on free ports, gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from saas.runtime.layout import ROOT, Layout
from saas.runtime.lock import lock_holder
from saas.runtime.ports import free_port
from saas.runtime.processes import Identity, identify
from saas.runtime.status import RUNNING, Status, status_read, supervised

STORES = "postgres,redis,roles"


def eventually(condition: Callable[[], object], what: str, *, limit_s: float = 60.0) -> None:
    """Wait for the condition itself; fail with `what` where it does not come true."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"after {limit_s:.0f} s: not {what}"
        time.sleep(0.02)


@dataclass
class Supervised:
    """A supervisor on a data folder, run as whoever the command prefix makes it."""

    layout: Layout
    only: str = STORES
    python: Sequence[str] = (sys.executable,)
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[str] | None = None

    def spawn(self) -> subprocess.Popen[str]:
        """Start another supervisor, whether or not there is one."""
        self.port = self.port or free_port()
        options = ["--only", self.only, "--port", str(self.port)]
        return subprocess.Popen(
            [*self.python, "-m", "saas.runtime.supervisor", *options],
            env={**os.environ, **self.env, "BREAKWATER_VAR": str(self.layout.var)},
            cwd=self.env.get("PYTHONPATH", str(ROOT)).split(":")[0],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def start(self) -> Status:
        """Start it and wait until everything runs."""
        self.process = process = self.spawn()

        def up() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"the supervisor ended:\n{process.communicate()[0]}")
            status = status_read(self.layout.status_file)
            mine = status is not None and status.supervisor.pid == process.pid
            return mine and status is not None and status.state == RUNNING

        eventually(up, "running")
        return self.status

    def fail(self) -> str:
        """Start it, see it refuse, and return what it says."""
        process = self.spawn()
        said, _ = process.communicate(timeout=60)
        assert process.returncode != 0, said
        return said

    @property
    def status(self) -> Status:
        status = status_read(self.layout.status_file)
        assert status is not None, "no status was written"
        return status

    def service(self, name: str) -> Identity:
        identity = self.status.services[name].identity
        assert identity is not None, f"{name} does not run"
        return identity


def leftovers(layout: Layout) -> list[str]:
    """Everything of the data folder's that still lives: nothing, after `down`."""
    found = [f"process {each.pid}" for each in supervised(layout)]
    holder = lock_holder(layout.lock_file)
    if holder is not None:
        found.append(f"lock held by {holder}")
    return found + [str(path) for path in (layout.lock_file, layout.status_file) if path.exists()]


def descendants(root: Identity) -> list[Identity]:
    """Return the process's living children, theirs, and so on."""
    found = (identify(each.pid) for each in psutil.Process(root.pid).children(recursive=True))
    return [identity for identity in found if identity is not None]


def folder_mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777
