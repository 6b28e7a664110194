"""Where a member stands: everything that a resumed run must know besides tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass
class Meter:
    """Work not reported yet, in intervals of a fixed number of steps.

    Intervals end at multiples of it, whatever interrupts a run, so interval `seq` always covers the
    same steps and tokens, and reporting it twice can be told from working twice.
    """

    seq: int = 0
    start: int = 0
    tokens: int = 0
    device_s: float = 0.0
    flops: float = 0.0

    def add(self, tokens: int, device_s: float, flops: float) -> None:
        self.tokens += tokens
        self.device_s += device_s
        self.flops += flops

    def closed(self, step: int) -> Meter:
        """The meter of the next interval, after this one was reported up to `step`."""
        return Meter(seq=self.seq + 1, start=step)


@dataclass
class State:
    """Where a member stands.

    `step` updates are done, `closed` rounds are finished (0: nothing; 1: the evaluation before
    training; …).
    """

    micro_batch_tokens: int
    step: int = 0
    closed: int = 0
    evaluated: int = 0
    epoch_loss: float = 0.0
    epoch_loss_tokens: int = 0
    trained_tokens: int = 0
    best_loss: float | None = None  # of all validations so far
    best_step: int = 0
    worse_rounds: int = 0  # validations since then
    stopped_early: bool = False
    scaling: dict[str, float] = field(default_factory=dict)  # of the loss, in fp16
    metrics: dict[str, float] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        return cls(**{**given, "meter": Meter(**given["meter"])})
