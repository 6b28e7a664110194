"""What the training loop needs of a method."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, Self

from torch import Tensor, nn

from workers.engine.methods.full.method import FullMethod
from workers.engine.methods.lora.layer import DropoutClock
from workers.engine.methods.lora.method import LoraMethod, Seat
from workers.engine.specs import FineTuneSpec


class Method(Protocol):
    """One member's trainable part of a model, while the method is open as a context."""

    media_type: str
    model: nn.Module
    clock: DropoutClock

    @property
    def parameters(self) -> Mapping[str, Tensor]: ...

    def save(self, folder: Path, weights: Mapping[str, Tensor] | None = None) -> None: ...

    def alone(self) -> AbstractContextManager[None]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def method_open(
    model: nn.Module,
    spec: FineTuneSpec,
    base: Path,
    start: Path | None,
    *,
    seat: Seat | None = None,
) -> Method:
    """The method that `spec` names, on `model`; `seat` is a LoRA's place in a cohort's bank."""
    if spec.method == "full":
        return FullMethod(model, spec, base, start)
    return LoraMethod(model, spec, base, start, seat=seat)
