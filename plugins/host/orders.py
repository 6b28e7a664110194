"""What a step is given from outside: files, the last snapshot, a way to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from plugins.host.child.port import file_create
from plugins.sdk.contracts import Handle
from plugins.sdk.errors import HandleRefused


@dataclass(frozen=True)
class WorkOrder:
    """One step's work. `call_id` is the same for every attempt: usage is keyed by it.

    `inputs` are files of the calling tenant, by handle; `results` is an empty folder for what
    the step creates; `snapshot` and `progress` hear from it while it runs.
    """

    call_id: str
    results: Path
    inputs: Mapping[str, Path] = field(default_factory=dict)
    state: Mapping[str, Any] | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    progress: Callable[[float], None] = lambda _: None
    snapshot: Callable[[Mapping[str, Any]], None] = lambda _: None

    def handles(self) -> tuple[Handle, ...]:
        return tuple(
            Handle(name, path.name, path.stat().st_size) for name, path in self.inputs.items()
        )


class InProcessPort:
    """The port of a trusted plugin."""

    def __init__(self, order: WorkOrder) -> None:
        self._order = order

    def open(self, handle_id: str) -> IO[bytes]:
        if handle_id not in self._order.inputs:
            raise HandleRefused(f"{handle_id!r} is no file of this call")
        return self._order.inputs[handle_id].open("rb")

    def create(self, name: str) -> IO[bytes]:
        return file_create(self._order.results, name)

    def progress(self, done: float) -> None:
        self._order.progress(done)

    def snapshot(self, state: Mapping[str, Any]) -> None:
        self._order.snapshot(state)

    def cancelled(self) -> bool:
        return self._order.cancel.is_set()
