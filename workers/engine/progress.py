"""A `Progress` for work that nobody outside follows. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workers.engine.protocol import Command, Handle, Member


class Silent:
    """Goes on, tells nobody, and keeps nothing: a folder that is handed over may be lost."""

    def beat(
        self, key: str, step: int, of: int, cursor: Mapping[str, int], metrics: Mapping[str, float]
    ) -> Command:
        del key, step, of, cursor, metrics
        return Command.GO

    def used(
        self, key: str, seq: int, start: int, stop: int, tokens: int, device_s: float, flops: float
    ) -> None:
        """Nobody pays."""

    def event(self, key: str, level: str, message: str, data: Mapping[str, Any]) -> None:
        """Nobody reads it."""

    def snapshot(self, key: str, step: int, folder: Path) -> Handle:
        del key, step
        return Handle(folder, "", "")

    def checkpoint(self, key: str, step: int, folder: Path, metrics: Mapping[str, float]) -> Handle:
        del key, step, metrics
        return Handle(folder, "", "")

    def joining(self) -> Sequence[Member]:
        return ()
