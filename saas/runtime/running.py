"""One service while it runs: its process, its state, and when it may start again."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from saas.runtime import child
from saas.runtime.logs import rotate
from saas.runtime.processes import Identity, identify
from saas.runtime.services import Service
from saas.runtime.status import ServiceStatus

WAITING, STARTING, RUNNING, BACKING_OFF, DONE = "waiting starting running backing-off done".split()
SURVIVES_S = 2.0  # longer than most faulty set-ups take to end a process
STABLE_S = 10.0  # a life this long forgives the crashes before it
MAX_BACK_OFF_S = 15.0


@dataclass
class Running:
    """Changes only by `spawn`, `look` and `ended`."""

    service: Service
    state: str = WAITING
    identity: Identity | None = None
    was_ready: bool = False  # once: what depends on it may start
    restarts: int = 0
    crashes: int = 0  # in a row
    since: float = 0.0
    due: float = 0.0

    @property
    def lived_s(self) -> float:
        return time.monotonic() - self.since

    @property
    def status(self) -> ServiceStatus:
        pid, started = (self.identity.pid, self.identity.started) if self.identity else (None, None)
        return ServiceStatus(self.state, pid, started, self.restarts, self.crashes)

    def spawn(self, *, env: Mapping[str, str], log: Path) -> None:
        rotate(log)
        pid = spawn(self.service, env={**env, **self.service.env}, log=log)
        self.identity = identify(pid) or Identity(pid, 0)
        self.state, self.since = STARTING, time.monotonic()

    def look(self) -> None:
        """See whether it is up by now: by its check, or by having lived a while."""
        check = self.service.ready
        up = self.lived_s > SURVIVES_S if check is None else check()
        if up:
            self.state, self.was_ready = RUNNING, True

    def ended(self, exit_code: int) -> None:
        """Plan the next start. A negative code is the signal that ended it."""
        self.identity = None
        if self.service.once and exit_code == 0:
            self.state, self.was_ready = DONE, True
            return
        self.crashes = 1 if self.lived_s > STABLE_S else self.crashes + 1
        self.restarts += 1
        self.state = BACKING_OFF
        self.due = time.monotonic() + back_off_s(self.crashes, killed=exit_code == -signal.SIGKILL)


def back_off_s(crashes: int, *, killed: bool) -> float:
    """Seconds until the next start: doubling, unless somebody else killed it."""
    return 0.2 if killed else min(0.2 * 2.0 ** (crashes - 1), MAX_BACK_OFF_S)


def spawn(service: Service, *, env: Mapping[str, str], log: Path) -> int:
    """Start the service in a session of its own, tied to our life; return its process id."""
    account = service.account
    uid, gid = (account.uid, account.gid) if account else (os.geteuid(), os.getegid())
    wrapper = [sys.executable, "-I", "-S", child.__file__]
    tie = [str(os.getpid()), str(int(service.death_signal)), str(uid), str(gid)]
    return os.posix_spawn(
        sys.executable,
        [*wrapper, *tie, *service.command],
        env,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
    )
