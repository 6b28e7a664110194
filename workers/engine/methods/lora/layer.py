"""The LoRA layer: y = x·Wᵀ + b + s·(drop(x)·Aᵀ)·Bᵀ.

Source: Hu et al. 2021, arXiv:2106.09685.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from workers.engine.data.order import mix
from workers.engine.kernels.products import Delta, Product, multiply


@dataclass
class DropoutClock:
    """Where training stands; with the layer's number it decides each dropout mask.

    Masks are a function of (seed, step, micro-batch, layer), so that recomputed activations see the
    same mask and a resumed run needs no stored generator state.
    """

    seed: int
    step: int = 0
    micro_batch: int = 0

    def generator(self, layer: int, device: torch.device) -> torch.Generator:
        key = mix(self.seed, self.step, self.micro_batch, layer)
        return torch.Generator(device).manual_seed(key >> 1)


class LoraLinear(nn.Module):
    """Stands in for a frozen linear layer while an adapter is trained.

    That is an `nn.Linear`, or GPT-2's `Conv1D`.
    """

    def __init__(
        self,
        base: nn.Module,
        *,
        rank: int,
        scale: float,
        dropout: float,
        clock: DropoutClock,
        number: int,
    ) -> None:
        super().__init__()
        self.base = base
        weight, _ = frozen_weight(base)
        self.scale, self.dropout, self.clock, self.number = scale, dropout, clock, number
        # The adapter learns in fp32 even on a bf16 base: small updates would round to nothing.
        exact = torch.promote_types(weight.dtype, torch.float32)
        self.A = nn.Parameter(weight.new_zeros(rank, weight.shape[1], dtype=exact))
        self.B = nn.Parameter(weight.new_zeros(weight.shape[0], rank, dtype=exact))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return multiply(x, (self.product(x),))[0]

    def product(self, x: Tensor) -> Product:
        """The base's weight and this adapter on it, for an input like x."""
        return Product(*frozen_weight(self.base), (self.delta(x, None),))

    def delta(self, x: Tensor, rows: slice | None) -> Delta:
        """This adapter on those rows of x (all: None)."""
        seen = x if rows is None else x[rows]
        return Delta(self.A, self.B, self.scale, rows, self._keep(seen))

    def _keep(self, x: Tensor) -> Tensor | None:
        """The dropout mask, already divided by the share kept; none outside of training."""
        if not self.dropout or not torch.is_grad_enabled():
            return None
        share = 1 - self.dropout
        draws = torch.empty(x.shape[:-1].numel(), x.shape[-1], dtype=x.dtype, device=x.device)
        return draws.bernoulli_(share, generator=self.clock.generator(self.number, x.device)).div_(
            share
        )


def frozen_weight(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """A linear layer's weight as (out, in), whichever way it is stored, and its bias."""
    weight: Tensor = module.weight  # type: ignore[assignment]
    bias: Tensor | None = module.bias  # type: ignore[assignment]
    return (weight.t() if isinstance(module, Conv1D) else weight), bias
