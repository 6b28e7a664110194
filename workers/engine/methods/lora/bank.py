"""Many adapters on one model at once, each at work on its own rows of a pack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from torch import Tensor, nn

from workers.engine.kernels.products import Product, multiply
from workers.engine.methods.lora.layer import LowRank, held_weight
from workers.engine.models import linear_names


@dataclass(frozen=True)
class Segment:
    """A member's stretch of a pack: its tokens, and its learned places among all of the pack's.

    `micro_batch` counts the member's passes within its update. None: all rows are the member's.
    """

    key: str
    micro_batch: int = 0
    tokens: slice | None = None
    places: slice | None = None


@dataclass
class Layout:
    """Whose rows are whose in the pack at hand; `length` is the pack's tokens."""

    segments: Sequence[Segment] = ()
    length: int = 0

    def stretches(self, rows: int) -> Iterator[tuple[Segment, slice | None]]:
        """Each segment with its rows of a tensor of all tokens, or of the learned places only."""
        for segment in self.segments:
            yield segment, segment.tokens if rows == self.length else segment.places


class BankLinear(nn.Module):
    """Stands in for a frozen linear layer that any number of members have adapters on."""

    def __init__(self, base: nn.Module, layout: Layout) -> None:
        super().__init__()
        self.base, self.layout = base, layout
        self.adapters: dict[str, LowRank] = {}

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return multiply(x, (self.product(x),))[0]

    def product(self, x: Tensor) -> Product:
        """The base's weight, and on each member's rows of x its adapter."""
        flat = x.reshape(-1, x.shape[-1])
        deltas = []
        for segment, rows in self.layout.stretches(len(flat)):
            if adapter := self.adapters.get(segment.key):
                adapter.clock.micro_batch = segment.micro_batch
                deltas.append(adapter.delta(flat, rows))
        return Product(*held_weight(self.base), tuple(deltas))


@dataclass
class AdapterBank:
    """The adapters on `model`, while open as a context; members come and go."""

    model: nn.Module
    layout: Layout = field(default_factory=Layout)
    layers: dict[str, BankLinear] = field(default_factory=dict)

    def __enter__(self) -> Self:
        for name in linear_names(self.model):
            self.layers[name] = BankLinear(self.model.get_submodule(name), self.layout)
            self.model.set_submodule(name, self.layers[name])
        return self

    def __exit__(self, *_: object) -> None:
        for name, layer in self.layers.items():
            self.model.set_submodule(name, layer.base)
        self.layers.clear()

    def join(self, key: str, adapters: Mapping[str, LowRank]) -> None:
        """Put a member's adapters, by layer name, on the model."""
        for name, adapter in adapters.items():
            self.layers[name].adapters[key] = adapter

    def leave(self, key: str) -> None:
        for layer in self.layers.values():
            layer.adapters.pop(key, None)

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """While open, every row is this member's."""
        before = self.layout.segments
        self.layout.segments = (Segment(key),)
        try:
            yield
        finally:
            self.layout.segments = before
