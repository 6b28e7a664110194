"""A frozen linear layer whose weight is held in NF4."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from workers.engine.kernels.nf4 import Nf4
from workers.engine.kernels.products import Product, multiply


class Nf4Linear(nn.Module):
    """Stands in for an `nn.Linear`, or GPT-2's `Conv1D`, on `device`.

    The weight is (out, in) whichever way `base` stores it; `is_transposed` says whether that was
    the other one.
    """

    def __init__(self, base: nn.Module, device: torch.device | str) -> None:
        super().__init__()
        self.is_transposed = isinstance(base, Conv1D)
        weight: Tensor = base.weight.to(device)  # type: ignore[assignment]
        self.weight = Nf4.of(weight.t() if self.is_transposed else weight)
        self.bias: Tensor | None = base.bias  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return multiply(x, (self.product(x),))[0]

    def product(self, _x: Tensor) -> Product:
        """The weight alone, without an adapter on it."""
        return Product(self.weight, self.bias)
