"""The border between the engine and everything else. Free of torch, Django and Celery.

The engine is handed `Work`: read-only files and typed settings. It reports through `Progress`
and obeys the command that each beat returns. It never sees tenants, credentials, fencing tokens or
a network; whoever runs it (a child process on a worker, or a test with an in-memory double)
supplies those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from workers.engine.compression.specs import CompressSpec
from workers.engine.specs import EvaluateSpec, FineTuneSpec

# Media types of what a `Handle` leads to.
HUGGING_FACE_MODEL = "application/vnd.huggingface.model"
PEFT_ADAPTER = "application/vnd.peft.adapter"
SNAPSHOT = "application/vnd.breakwater.snapshot"
JSONL = "application/jsonl"


class Command(StrEnum):
    """What the outside wants; the answer to every beat."""

    GO = "go"
    SNAPSHOT = "snapshot"  # write a snapshot now, then go on
    PAUSE = "pause"  # write a snapshot and stop; the member's result is `paused`
    CANCEL = "cancel"  # stop without a snapshot; the member's result is `cancelled`


class Outcome(StrEnum):
    """How the work on one member, or one evaluation, ended."""

    SUCCEEDED = "succeeded"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FAILED = "failed"


class FailureKind(StrEnum):
    """Whose failure it was; decides retry and charge."""

    CUSTOMER = "customer"  # bad data or settings: never retried
    PLATFORM = "platform"  # crash, out of memory, lost worker: retried from the last snapshot


@dataclass(frozen=True)
class Handle:
    """A read-only local file or folder.

    `sha256` is that of the file, or of the folder's manifest.
    """

    path: Path
    media_type: str
    sha256: str


@dataclass(frozen=True)
class Numerics:
    """How numbers are computed."""

    dtype: str = "float32"  # or "bfloat16", "float16"; "auto": what suits the device
    threads: int = 1
    device: str = "cpu"  # or "cuda:0"
    processes: int = 1  # that train one member together, each on a device of its own
    memory_bytes: int = 0  # that the pass may take; 0: not known


DEFAULT_NUMERICS = Numerics()


@dataclass(frozen=True)
class Member:
    """One fine-tune of a pass. `resume` is a snapshot folder made by an earlier attempt."""

    key: str
    spec: FineTuneSpec
    data: Handle
    validation: Handle | None = None
    resume: Handle | None = None
    adapter: Handle | None = None  # an earlier one (PEFT folder) to start from, not a fresh one


@dataclass(frozen=True)
class Work:
    """A pass: members to fine-tune over one base, with a private folder to do it in.

    `together`: LoRA members share each forward and backward pass (a cohort); else one trains after
    another. `pass_tokens` bounds a shared pass; members' own micro-batches stay as they are.
    """

    base: Handle
    members: tuple[Member, ...]
    scratch: Path
    numerics: Numerics = DEFAULT_NUMERICS
    together: bool = False
    pass_tokens: int = 4096


@dataclass(frozen=True)
class EvaluateWork:
    """A base, or a base with an adapter, to measure on one data file; beats carry `key`."""

    base: Handle
    key: str
    spec: EvaluateSpec
    data: Handle
    scratch: Path
    adapter: Handle | None = None
    numerics: Numerics = DEFAULT_NUMERICS


# What a compression used tokens for; `used` then has the key "{key}:{part}".
MEASURED = "measured"  # forward passes: calibration and held-out rows
RECOVERED = "recovered"  # training with the dense model as teacher


@dataclass(frozen=True)
class CompressWork:
    """A model (a base, or a base with an adapter to merge in first) to make smaller.

    `data` calibrates and recovers, `validation` measures; without it some rows are held out.
    """

    base: Handle
    key: str
    spec: CompressSpec
    data: Handle
    scratch: Path
    validation: Handle | None = None
    adapter: Handle | None = None
    adapters: tuple[Handle, ...] = ()  # of the base, to carry over to what becomes of it
    resume: Handle | None = None
    numerics: Numerics = DEFAULT_NUMERICS


@dataclass(frozen=True)
class Result:
    """How one member ended.

    `artifact` is a Hugging Face or PEFT folder; `metrics` are the member's final figures.
    """

    key: str
    outcome: Outcome
    artifact: Handle | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    failure: FailureKind | None = None
    error: str | None = None


class Progress(Protocol):
    """The engine's only voice. Every call may block for as long as the other side needs."""

    def beat(
        self, key: str, step: int, of: int, cursor: Mapping[str, int], metrics: Mapping[str, float]
    ) -> Command:
        """Report step `step` of `of`; returns what to do next.

        `cursor` (epoch, example, …) only ever grows.
        """

    def used(
        self, key: str, seq: int, start: int, stop: int, tokens: int, device_s: float, flops: float
    ) -> None:
        """Report work: loss and context tokens of steps (start, stop], by a growing `seq`."""

    def event(self, key: str, level: str, message: str, data: Mapping[str, Any]) -> None:
        """Say something a person should read ("info", "warn", "error")."""

    def snapshot(self, key: str, step: int, folder: Path) -> Handle:
        """Hand over a finished snapshot folder; returns when it is durable.

        The folder may then be deleted.
        """

    def checkpoint(self, key: str, step: int, folder: Path, metrics: Mapping[str, float]) -> Handle:
        """Hand over a usable model of an epoch's end; returns when it is durable.

        `folder` is in PEFT or Hugging Face layout, and may then be deleted.
        """

    def joining(self) -> Sequence[Member]:
        """Members that wish to join the running pass (cohorts); usually none."""
