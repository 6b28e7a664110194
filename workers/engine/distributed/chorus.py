"""The `Progress` of a run in several processes: the first one speaks, all obey the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workers.engine.distributed.sharded import Sharded
from workers.engine.protocol import Command, Handle, Member, Progress

COMMANDS = tuple(Command)


class Chorus:
    """`own` is the outside, for the first process; the others are silent."""

    def __init__(self, ranks: Sharded, own: Progress) -> None:
        self._ranks, self._own = ranks, own

    def beat(
        self, key: str, step: int, of: int, cursor: Mapping[str, int], metrics: Mapping[str, float]
    ) -> Command:
        said = self._own.beat(key, step, of, cursor, metrics)
        return COMMANDS[self._ranks.told(COMMANDS.index(said))]

    def used(
        self, key: str, seq: int, start: int, stop: int, tokens: int, device_s: float, flops: float
    ) -> None:
        seconds = device_s * self._ranks.count  # of all their devices
        self._own.used(key, seq, start, stop, tokens, seconds, flops)

    def event(self, key: str, level: str, message: str, data: Mapping[str, Any]) -> None:
        self._own.event(key, level, message, data)

    def snapshot(self, key: str, step: int, folder: Path) -> Handle:
        return self._own.snapshot(key, step, folder)

    def checkpoint(self, key: str, step: int, folder: Path, metrics: Mapping[str, float]) -> Handle:
        return self._own.checkpoint(key, step, folder, metrics)

    def joining(self) -> Sequence[Member]:
        return ()
