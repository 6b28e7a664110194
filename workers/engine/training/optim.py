"""SGD, Adam and AdamW over a flat list of tensors, and gradient clipping.

Same results as torch.optim. Sources: Sutskever et al. 2013 (momentum), Kingma & Ba 2015
(arXiv:1412.6980), Loshchilov & Hutter 2019 (arXiv:1711.05101).
"""

# ruff: noqa: SLF001  (torch names its multi-tensor operations with an underscore)

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from workers.engine.specs import FineTuneSpec

EPSILON = 1e-8


class Optimiser:
    """Updates `parameters` in place from their gradients; a slot holds one tensor per parameter."""

    slot_names: tuple[str, ...] = ()

    def __init__(self, parameters: Sequence[Tensor], spec: FineTuneSpec) -> None:
        self.parameters = list(parameters)
        self.spec = spec
        self.updates = 0
        self.slots = {
            name: [torch.zeros_like(p) for p in self.parameters] for name in self.slot_names
        }

    def step(self, rate: float) -> None:
        """One update at learning rate `rate`; gradients are used up."""
        self.updates += 1
        with torch.no_grad():
            self._apply([cast("Tensor", p.grad) for p in self.parameters], rate)
        self.clear()

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def _apply(self, gradients: list[Tensor], rate: float) -> None:
        raise NotImplementedError


class Sgd(Optimiser):
    """g ← g + decay·p;  m ← momentum·m + g;  p ← p − rate·m."""

    slot_names = ("momentum",)

    def _apply(self, gradients: list[Tensor], rate: float) -> None:
        spec, momentum = self.spec, self.slots["momentum"]
        if spec.weight_decay:
            gradients = list(
                torch._foreach_add(gradients, self.parameters, alpha=spec.weight_decay)
            )
        torch._foreach_mul_(momentum, spec.momentum)
        torch._foreach_add_(momentum, gradients)
        torch._foreach_add_(self.parameters, momentum, alpha=-rate)


class Adam(Optimiser):
    """p ← p − rate·m̂ / (√v̂ + ε); weight decay joins the gradient."""

    slot_names = ("mean", "square")

    def _apply(self, gradients: list[Tensor], rate: float) -> None:
        if self.spec.weight_decay:
            gradients = list(
                torch._foreach_add(gradients, self.parameters, alpha=self.spec.weight_decay)
            )
        self._adapt(gradients, rate)

    def _adapt(self, gradients: list[Tensor], rate: float) -> None:
        first, second = self.spec.betas
        mean, square = self.slots["mean"], self.slots["square"]
        torch._foreach_lerp_(mean, gradients, 1 - first)
        torch._foreach_mul_(square, second)
        torch._foreach_addcmul_(square, gradients, gradients, value=1 - second)
        size = torch._foreach_sqrt(square)
        torch._foreach_div_(size, math.sqrt(1 - second**self.updates))
        torch._foreach_add_(size, EPSILON)
        torch._foreach_addcdiv_(
            self.parameters, mean, size, value=-rate / (1 - first**self.updates)
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the weights directly: p ← p·(1 − rate·decay) first."""

    def _apply(self, gradients: list[Tensor], rate: float) -> None:
        if self.spec.weight_decay:
            torch._foreach_mul_(self.parameters, 1 - rate * self.spec.weight_decay)
        self._adapt(gradients, rate)


OPTIMISERS: dict[str, type[Optimiser]] = {"sgd": Sgd, "adam": Adam, "adamw": AdamW}


def gradient_norm(parameters: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm over all gradients, a scalar."""
    norms = torch._foreach_norm([cast("Tensor", p.grad) for p in parameters])
    norm: Tensor = torch.linalg.vector_norm(torch.stack(list(norms)))
    return norm


def clip_gradients(parameters: Sequence[Tensor], norm: float, most: float) -> None:
    """Scale all gradients so that their norm is at most `most` (0 = leave them)."""
    if most and norm > most:
        torch._foreach_mul_([cast("Tensor", p.grad) for p in parameters], most / (norm + 1e-6))
