"""What runs inside the child of a `serve` job: the replica, which asks its parent over the channel.

Never imported by the parent: it is the child's ENTRY.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workers.engine.protocol import Command
from workers.serving.runtime.host import AdapterMissing, settings_of
from workers.serving.runtime.replica import replica_run
from workers.tasks.channel import Channel, ChannelClosed, Frame

OUTCOMES = {Command.PAUSE: "paused", Command.CANCEL: "cancelled"}


def run(channel: Channel, request: Frame) -> None:
    """Serve until told to leave, and say how it ended."""
    given = settings_of(request["settings"])
    host = ChannelHost(channel, request["key"], beats=given.beats_from)
    command = replica_run(given, host)
    if host.told is Command.GO:
        raise RuntimeError("the replica's server ended by itself")
    channel.send({"type": "result", "outcome": OUTCOMES[command]})


class ChannelHost:
    """The replica's `Host`, spoken over the channel: one question at a time, from any thread."""

    def __init__(self, channel: Channel, key: str, *, beats: int) -> None:
        self.told = Command.GO
        self._channel, self._key = channel, key
        self._asking = threading.Lock()
        self._beats = beats

    def ready(self, address: str) -> None:
        self._ask({"type": "ready", "address": address})

    def beat(self, adapters: Sequence[str], active: int) -> Command:
        """An idle replica moves forward too: its beats are counted as its steps."""
        self._beats += 1
        answer = self._ask(
            {
                "type": "beat",
                "key": self._key,
                "step": self._beats,
                "of": 0,
                "cursor": {},
                "metrics": {},
                "adapters": list(adapters),
                "active": active,
            }
        )
        self.told = Command(answer["command"])
        if self.told is not Command.GO:
            self._ask({"type": "draining"})
        return self.told

    def adapter(self, tenant_id: str, version_id: str) -> Path:
        answer = self._ask({"type": "adapter", "tenant_id": tenant_id, "version_id": version_id})
        if "missing" in answer:
            raise AdapterMissing(answer["missing"])
        return Path(answer["folder"])

    def _ask(self, frame: dict[str, Any]) -> Frame:
        with self._asking:
            self._channel.send(frame)
            answer = self._channel.receive()
        if answer is None:
            raise ChannelClosed("no answer")
        return answer
