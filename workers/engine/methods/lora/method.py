"""LoRA as a way to train: the base stays frozen and shared, the adapter changes and is kept."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from torch import Tensor, nn

from workers.engine.folders import atomic_folder
from workers.engine.methods.lora.adapter import (
    adapter_load,
    adapter_save,
    attach,
    detach,
    fresh,
    load_into,
)
from workers.engine.methods.lora.bank import AdapterBank
from workers.engine.methods.lora.layer import DropoutClock
from workers.engine.protocol import PEFT_ADAPTER
from workers.engine.specs import FineTuneSpec


@dataclass(frozen=True)
class Seat:
    """A member's place in a bank."""

    bank: AdapterBank
    key: str


class LoraMethod:
    """An adapter on `model` until the context ends; `start` is an earlier one to go on from.

    It then gives the shape too, whatever `spec` says. With a `seat`, the adapter joins a bank's
    others instead of having the model to itself.
    """

    media_type = PEFT_ADAPTER

    def __init__(
        self,
        model: nn.Module,
        spec: FineTuneSpec,
        base: Path,
        start: Path | None,
        *,
        seat: Seat | None = None,
    ) -> None:
        earlier = adapter_load(start) if start else None
        self.model, self.base = model, base
        self.spec = earlier.spec if earlier else spec.lora
        self.clock = DropoutClock(spec.seed)
        self.seat = seat
        self._layers = fresh(model, self.spec, self.clock)
        if earlier:
            load_into(self._layers, earlier)
        if seat:
            seat.bank.join(seat.key, self._layers)
        else:
            attach(model, self._layers)

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The trained tensors by stable name."""
        return {
            f"{name}.{part}": getattr(layer, part)
            for name, layer in self._layers.items()
            for part in ("A", "B", "m")
            if hasattr(layer, part)
        }

    def save(self, folder: Path, weights: Mapping[str, Tensor] | None = None) -> None:
        """Write the adapter in PEFT format, of these `weights` if given; whole or not at all."""
        own = self.parameters if weights is None else weights
        with atomic_folder(folder) as temporary:
            adapter_save(temporary, self.model, self._layers, own, self.spec, self.base.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.seat:
            self.seat.bank.leave(self.seat.key)
        else:
            detach(self.model, self._layers)

    def alone(self) -> AbstractContextManager[None]:
        """While open, the model computes with this adapter only."""
        return self.seat.bank.alone(self.seat.key) if self.seat else nullcontext()
