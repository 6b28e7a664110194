"""`$VAR/run/status.json`: what runs, under which process id, in which state."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from saas.runtime.layout import Layout
from saas.runtime.processes import Identity, marked

STARTING, RUNNING, STOPPING, FAILED = "starting", "running", "stopping", "failed"


@dataclass(frozen=True)
class ServiceStatus:
    """`state`: waiting, starting, running, backing-off, done, stopped.

    `started` is a clock tick; `crashes` counts those in a row.
    """

    state: str
    pid: int | None = None
    started: int | None = None
    restarts: int = 0
    crashes: int = 0

    @property
    def identity(self) -> Identity | None:
        if self.pid is None or self.started is None:
            return None
        return Identity(self.pid, self.started)


@dataclass(frozen=True)
class Status:
    """`state` as a whole: starting, running, stopping, or failed with the reason.

    `code` is when the code that runs was last changed (see `layout.code_changed`).
    """

    supervisor: Identity
    state: str
    reason: str = ""
    port: int = 0
    code: float = 0.0
    services: dict[str, ServiceStatus] = field(default_factory=dict)

    @property
    def identities(self) -> list[Identity]:
        """Every process named here."""
        return [each.identity for each in self.services.values() if each.identity is not None]

    def write(self, path: Path) -> None:
        draft = path.with_suffix(".tmp")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            json.dump(asdict(self), stream, indent=2)
        draft.replace(path)


def supervised(layout: Layout) -> list[Identity]:
    """Return the living processes of this data folder's services: marked, or on record."""
    status = status_read(layout.status_file)
    recorded = [each for each in status.identities if each.alive] if status else []
    return list({*marked(layout.var), *recorded})


def status_read(path: Path) -> Status | None:
    """Return what the supervisor last wrote, None where it wrote nothing readable."""
    try:
        data = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):  # ValueError: a power cut left it empty
        return None
    return Status(
        supervisor=Identity(**data["supervisor"]),
        state=data["state"],
        reason=data["reason"],
        port=data["port"],
        code=data.get("code", 0.0),
        services={name: ServiceStatus(**each) for name, each in data["services"].items()},
    )
