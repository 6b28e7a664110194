"""The engine's words as frames: requests in, `Progress` and results out. It loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workers.engine.compression.specs import CompressSpec
from workers.engine.protocol import (
    SNAPSHOT,
    Command,
    CompressWork,
    EvaluateWork,
    Handle,
    Member,
    Numerics,
    Result,
    Work,
)
from workers.engine.specs import EvaluateSpec, FineTuneSpec
from workers.jobs.progress import finite
from workers.tasks.channel import Channel, ChannelClosed, Frame


class ChannelProgress:
    """The engine's `Progress`, spoken over the channel. `is_open`: others may join."""

    def __init__(self, channel: Channel, *, is_open: bool = False) -> None:
        self._channel, self._is_open = channel, is_open

    def beat(
        self, key: str, step: int, of: int, cursor: Mapping[str, int], metrics: Mapping[str, float]
    ) -> Command:
        self._channel.send(
            {
                "type": "beat",
                "key": key,
                "step": step,
                "of": of,
                "cursor": dict(cursor),
                "metrics": finite(metrics),
            }
        )
        return Command(self._answer()["command"])

    def used(
        self, key: str, seq: int, start: int, stop: int, tokens: int, device_s: float, flops: float
    ) -> None:
        self._channel.send(
            {
                "type": "used",
                "key": key,
                "seq": seq,
                "start": start,
                "stop": stop,
                "tokens": tokens,
                "device_s": device_s,
                "flops": flops,
            }
        )

    def event(self, key: str, level: str, message: str, data: Mapping[str, Any]) -> None:
        self._channel.send(
            {"type": "event", "key": key, "level": level, "message": message, "data": dict(data)}
        )

    def snapshot(self, key: str, step: int, folder: Path) -> Handle:
        self._channel.send({"type": "snapshot", "key": key, "step": step, "folder": str(folder)})
        return Handle(folder, SNAPSHOT, str(self._answer()["sha256"]))

    def checkpoint(self, key: str, step: int, folder: Path, metrics: Mapping[str, float]) -> Handle:
        self._channel.send(
            {
                "type": "checkpoint",
                "key": key,
                "step": step,
                "folder": str(folder),
                "metrics": finite(metrics),
            }
        )
        return Handle(folder, "application/vnd.breakwater.model", str(self._answer()["sha256"]))

    def joining(self) -> Sequence[Member]:
        if not self._is_open:
            return ()
        self._channel.send({"type": "joining"})
        return [_member(each) for each in self._answer()["members"]]

    def _answer(self) -> Frame:
        frame = self._channel.receive()
        if frame is None:
            raise ChannelClosed("no answer")
        return frame


def _member(given: Mapping[str, Any]) -> Member:
    return Member(
        key=given["key"],
        spec=FineTuneSpec.from_dict(given["spec"]),
        data=_given(given["data"]),
        validation=_handle(given["validation"]),
        resume=_handle(given["resume"]),
        adapter=_handle(given["adapter"]),
    )


def work_of(request: Frame) -> Work:
    """The fine-tune of one member, or of a cohort's."""
    given = request["members"] if request["work"] == "cohort" else [request]
    members = tuple(_member(each) for each in given)
    return Work(
        base=_given(request["base"]),
        members=members,
        scratch=Path(request["scratch"]),
        numerics=Numerics(**request["numerics"]),
    )


def evaluate_work_of(request: Frame) -> EvaluateWork:
    return EvaluateWork(
        base=_given(request["base"]),
        key=request["key"],
        spec=EvaluateSpec.from_dict(request["spec"]),
        data=_given(request["data"]),
        scratch=Path(request["scratch"]),
        adapter=_handle(request["adapter"]),
        numerics=Numerics(**request["numerics"]),
    )


def compress_work_of(request: Frame) -> CompressWork:
    return CompressWork(
        base=_given(request["base"]),
        key=request["key"],
        spec=CompressSpec.from_dict(request["spec"]),
        data=_given(request["data"]),
        scratch=Path(request["scratch"]),
        validation=_handle(request["validation"]),
        adapter=_handle(request["adapter"]),
        adapters=tuple(_given(each) for each in request["adapters"]),
        resume=_handle(request["resume"]),
        numerics=Numerics(**request["numerics"]),
    )


def _handle(given: Mapping[str, str] | None) -> Handle | None:
    return None if given is None else _given(given)


def _given(given: Mapping[str, str]) -> Handle:
    return Handle(Path(given["path"]), given["media_type"], given["sha256"])


def result_frame(result: Result) -> Frame:
    """How a member ended, by the channel."""
    artifact = result.artifact
    return {
        "outcome": result.outcome.value,
        "artifact": None if artifact is None else str(artifact.path),
        "metrics": finite(result.metrics),
        "failure": None if result.failure is None else result.failure.value,
        "error": result.error,
    }
