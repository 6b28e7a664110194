"""Sums over examples that every metric is computed from, so that passes simply add up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

GROUP = 64  # examples planned together


@dataclass(frozen=True)
class Score:
    """Sums over `weight` terms of the loss in `examples` examples of together `tokens` tokens.

    `sums` are a task's own: floats or arrays, added element by element.
    """

    loss_sum: float = 0.0
    weight: int = 0
    tokens: int = 0
    examples: int = 0
    sums: Mapping[str, Any] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """The mean over the weight."""
        return self.loss_sum / max(self.weight, 1)

    @classmethod
    def of(cls, batch: Any, loss: Tensor, sums: Mapping[str, Any]) -> Self:
        """One pass's; `loss` and `sums` as a task's `loss` returns them."""
        return cls(
            loss_sum=loss.item(),
            weight=batch.weight,
            tokens=batch.tokens,
            examples=batch.examples,
            sums={name: _number(value) for name, value in sums.items()},
        )

    def nothing(self) -> Score:
        """That of no examples, with sums of the same shapes."""
        return Score(
            sums={name: np.zeros(np.shape(value))[()] for name, value in self.sums.items()}
        )

    def __add__(self, other: Score) -> Score:
        names = {*self.sums, *other.sums}
        return Score(
            self.loss_sum + other.loss_sum,
            self.weight + other.weight,
            self.tokens + other.tokens,
            self.examples + other.examples,
            {name: self.sums.get(name, 0) + other.sums.get(name, 0) for name in names},
        )


def _number(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.item() if value.ndim == 0 else value.cpu().numpy()


def groups_of(data: Any, chosen: Sequence[int] | None = None) -> Iterator[Sequence[int]]:
    """All examples, or the chosen ones, in the groups that they are planned in."""
    places = range(len(data)) if chosen is None else chosen
    for start in range(0, len(places), GROUP):
        yield places[start : start + GROUP]


class _Measures(Protocol):
    """The part of a task that scoring needs."""

    def micro_batches(
        self, data: Any, chosen: Sequence[int], budget: int, *, packing: bool
    ) -> list[Any]: ...

    def loss(
        self, model: nn.Module, batch: Any, device: str
    ) -> tuple[Tensor, Mapping[str, Any]]: ...


def scores_of(
    task: _Measures,
    model: nn.Module,
    data: Any,
    budget: int,
    device: str,
    *,
    chosen: Sequence[int] | None = None,
) -> Iterator[Score]:
    """One score per forward pass, for tasks whose metrics are sums over examples."""
    for group in groups_of(data, chosen):
        for batch in task.micro_batches(data, group, budget, packing=True):
            with torch.no_grad():
                loss, sums = task.loss(model, batch, device)
            yield Score.of(batch, loss, sums)
