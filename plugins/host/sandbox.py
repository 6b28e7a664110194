"""Which isolation this machine really gives: each level is tried, and measured."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from plugins.host.child.probe import ACTS
from plugins.host.errors import CallFailed, SandboxUnavailable
from plugins.host.facts import Level, Limits
from plugins.host.process import Child, Program
from plugins.host.runtime import Runtime, runtime_make
from plugins.host.userids import UserIds

REQUIRED = frozenset({"files", "network", "processes"})  # a partner's plugin is refused without
_PROBE_LIMITS = Limits(call_s=5.0, start_s=10.0)


@dataclass(frozen=True)
class Probed:
    """A level as it was found: acts that it stops, acts that it does not, or why it fails."""

    level: Level
    enforced: frozenset[str] = frozenset()
    not_enforced: frozenset[str] = frozenset()
    reason: str = ""

    @property
    def holds(self) -> bool:
        return self.enforced >= REQUIRED


@dataclass
class Sandbox:
    """Starts children at the strongest level that holds, or at `level` where one is asked for.

    `folder` must be reachable for ordinary user ids. `accept_risk` lets partners' plugins run
    where no level holds. `made` is a runtime that another sandbox has made already.
    Raises SandboxUnavailable at `start`.
    """

    folder: Path
    level: Level | None = None
    accept_risk: bool = False
    limits: Limits = field(default_factory=Limits)
    made: Runtime | None = None

    def __post_init__(self) -> None:
        self._ids = UserIds()
        self._lock = threading.Lock()
        self._runtime = self.made
        self._probed: dict[Level, Probed] = {}

    @property
    def runtime(self) -> Runtime:
        with self._lock:
            if self._runtime is None:
                self._runtime = runtime_make(self.folder / "runtime")
            return self._runtime

    def probe(self, level: Level) -> Probed:
        """Try a level once with a real child, and remember what it stops."""
        if level not in self._probed:
            self._probed[level] = self._try(level)
        return self._probed[level]

    def chosen(self) -> Probed:
        """The level that children run at. Raises SandboxUnavailable with every reason."""
        tried = [self.level] if self.level else list(get_args(Level))
        found = []
        for level in tried:
            probed = self.probe(level)
            if probed.holds or (not probed.reason and (self.accept_risk and level == tried[-1])):
                return probed
            lacking = ", ".join(sorted(REQUIRED - probed.enforced))
            found.append(f"{level}: {probed.reason or 'does not stop ' + lacking}")
        raise SandboxUnavailable("no level of isolation holds here: " + "; ".join(found))

    def start(self, program: Program) -> Child:
        """A child at that level. Raises SandboxUnavailable, CallFailed."""
        return Child(program, self.runtime, self.chosen().level, self.limits, self._ids)

    def _try(self, level: Level) -> Probed:
        if level == "bubblewrap" and shutil.which("bwrap") is None:
            return Probed(level, reason="bwrap is not installed")
        runtime = self.runtime
        program = Program("probe", "plugins.host.child.probe", (), ())
        try:
            child = Child(program, runtime, level, _PROBE_LIMITS, self._ids)
        except CallFailed as error:
            return Probed(level, reason=str(error))
        try:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                frame = _probe_frame(listener.getsockname()[1])
                value = child.call(frame, timeout=_PROBE_LIMITS.call_s)
        except CallFailed as error:
            return Probed(level, reason=str(error))
        finally:
            child.close()
        figures: Mapping[str, object] = value["figures"]
        enforced = frozenset(act for act in ACTS if figures.get(act) is True)
        return Probed(level, enforced, frozenset(ACTS) - enforced)


def _probe_frame(port: int) -> dict[str, object]:
    work: dict[str, object] = {
        "settings": {"port": port},
        "inputs": [],
        "state": None,
        "folder": ".",
    }
    return {"hook": "prepare_dataset", "args": {}, "work": work}
