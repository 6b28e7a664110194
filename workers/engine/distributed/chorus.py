"""The `Progress` of a run in several processes: the first one speaks, all obey the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workers.engine.distributed.sharded import Sharded
from workers.engine.protocol import Command, Handle, Member, Progress

COMMANDS = tuple(Command)


class Chorus:
    """`first` is the outside, for the first process; None for the others."""

    def __init__(self, ranks: Sharded, first: Progress | None) -> None:
        self._ranks, self._first = ranks, first

    def beat(
        self, key: str, step: int, of: int, cursor: Mapping[str, int], metrics: Mapping[str, float]
    ) -> Command:
        said = Command.GO
        if self._first:
            said = self._first.beat(key, step, of, cursor, metrics)
        return COMMANDS[self._ranks.told(COMMANDS.index(said))]

    def used(
        self, key: str, seq: int, start: int, stop: int, tokens: int, device_s: float, flops: float
    ) -> None:
        if self._first:
            seconds = device_s * self._ranks.count  # of all their devices
            self._first.used(key, seq, start, stop, tokens, seconds, flops)

    def event(self, key: str, level: str, message: str, data: Mapping[str, Any]) -> None:
        if self._first:
            self._first.event(key, level, message, data)

    def snapshot(self, key: str, step: int, folder: Path) -> Handle:
        if self._first:
            return self._first.snapshot(key, step, folder)
        return Handle(folder, "", "")

    def checkpoint(self, key: str, step: int, folder: Path, metrics: Mapping[str, float]) -> Handle:
        if self._first:
            return self._first.checkpoint(key, step, folder, metrics)
        return Handle(folder, "", "")

    def joining(self) -> Sequence[Member]:
        return ()
