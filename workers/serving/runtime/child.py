"""What runs inside the child process of a `serve` job: its ENTRY, with `run(channel, request)`.

Frames to the parent: `ready` (address), `loaded` (adapters, active), `beat` (answered by a
command), `adapter` (answered by a folder or an error), and `result` at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from workers.engine.protocol import Command, Outcome
from workers.serving.runtime.host import AdapterMissing, settings_of
from workers.serving.runtime.replica import replica_run

KEY = "replica"


class Channel(Protocol):
    """The pipe to the parent, whose other end stands in `workers.tasks`."""

    def send(self, frame: Mapping[str, Any]) -> None: ...

    def receive(self, timeout: float | None = None) -> dict[str, Any] | None: ...


def run(channel: Channel, request: Mapping[str, Any]) -> None:
    """Serve what `request` names until told to leave, and say how it ended."""
    settings = settings_of(request)
    command = replica_run(settings, ChannelHost(channel, beats=settings.beats_from))
    outcome = Outcome.PAUSED if command is Command.PAUSE else Outcome.CANCELLED
    channel.send({"type": "result", "outcome": outcome.value, "artifact": None, "metrics": {},
                  "failure": None, "error": None})  # fmt: skip


class ChannelHost:
    """The replica's `Host`, spoken over the channel: one question at a time."""

    def __init__(self, channel: Channel, *, beats: int = 0) -> None:
        self._channel = channel
        self._turn = threading.Lock()
        self._beats = beats

    def ready(self, address: str) -> None:
        with self._turn:
            self._channel.send({"type": "ready", "address": address})

    def beat(self, adapters: Sequence[str], active: int) -> Command:
        with self._turn:
            self._beats += 1
            self._channel.send({"type": "loaded", "adapters": list(adapters), "active": active})
            answer = self._ask({"type": "beat", "key": KEY, "step": self._beats, "of": 0,
                                "cursor": {"beat": self._beats}, "metrics": {}})  # fmt: skip
        return Command(answer["command"])

    def adapter(self, tenant_id: str, version_id: str) -> Path:
        with self._turn:
            answer = self._ask(
                {"type": "adapter", "tenant_id": tenant_id, "version_id": version_id}
            )
        if answer.get("error"):
            raise AdapterMissing(str(answer["error"]))
        return Path(answer["folder"])

    def _ask(self, frame: Mapping[str, Any]) -> dict[str, Any]:
        self._channel.send(frame)
        answer = self._channel.receive()
        if answer is None:
            raise ConnectionError("the parent did not answer")
        return answer
