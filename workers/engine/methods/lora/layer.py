"""The layers of LoRA, y = x·Wᵀ + b + s·(drop(x)·Aᵀ)·Bᵀ, and of DoRA, which learns lengths too.

Sources: Hu et al. 2021, arXiv:2106.09685; Liu et al. 2024, arXiv:2402.09353.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from workers.engine.data.order import mix
from workers.engine.kernels.nf4 import Frozen, whole
from workers.engine.kernels.nf4_linear import Nf4Linear
from workers.engine.kernels.products import Delta, Product, multiply

TINY = 1e-30  # of a squared length: a row of zeros stays one


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


class LowRank(nn.Module):
    """Stands in for a frozen linear layer while an adapter with A and B is trained.

    That is an `nn.Linear`, GPT-2's `Conv1D`, or what holds the weight of one in NF4.
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
        weight: Frozen = base.weight  # type: ignore[assignment]
        outs, ins = layer_sizes(base)
        self.scale, self.dropout, self.clock, self.number = scale, dropout, clock, number
        # The adapter learns in fp32 even on a bf16 base: small updates would round to nothing.
        exact = torch.promote_types(weight.dtype, torch.float32)
        self.A = nn.Parameter(torch.zeros(rank, ins, dtype=exact, device=weight.device))
        self.B = nn.Parameter(torch.zeros(outs, rank, dtype=exact, device=weight.device))

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


class LoraLinear(LowRank):
    """LoRA: the frozen product and the low-rank one."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return multiply(x, (self.product(x),))[0]

    def product(self, x: Tensor) -> Product:
        """The base's weight and this adapter on it, for an input like x."""
        return Product(*held_weight(self.base), (self.delta(x, None),))


class DoraLinear(LowRank):
    """DoRA: y = c ⊙ (x·Wᵀ + s·(drop(x)·Aᵀ)·Bᵀ) + b with c = m / ‖W + s·B·A‖ for each row.

    The length is taken as a constant in the backward pass (the paper's section 4.3). Dropout is on
    the adapter's input alone, where PEFT's also falls on part of the frozen product.
    """

    def __init__(self, base: nn.Module, **given: Any) -> None:
        super().__init__(base, **given)
        weight, _ = held_weight(base)
        exact = whole(weight).to(self.A.dtype)
        self._squares = exact.square().sum(1)
        self.m = nn.Parameter(self._squares.sqrt())

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        weight, bias = held_weight(self.base)
        (out,) = multiply(x, (Product(weight, None, (self.delta(x, None),)),))
        out = out * (self.m / self.lengths()).to(out.dtype)
        return out if bias is None else out + bias.to(out.dtype)

    @torch.no_grad()
    def lengths(self) -> Tensor:
        """‖W + s·B·A‖ of each row, (out,)."""
        weight, _ = held_weight(self.base)
        return row_lengths(whole(weight), self._squares, self.A, self.B, self.scale)


def row_lengths(weight: Tensor, squares: Tensor, A: Tensor, B: Tensor, scale: float) -> Tensor:
    """‖W + s·B·A‖ of each row, (out,), without forming the sum.

    By ‖w‖² + 2s·b·(A·w) + s²·b·(A·Aᵀ)·b; `squares` are the rows' ‖w‖².
    """
    mixed = ((weight @ A.to(weight.dtype).t()).to(B.dtype) * B).sum(1)
    own = ((B @ (A @ A.t())) * B).sum(1)
    return (squares + 2 * scale * mixed + scale**2 * own).clamp_min(TINY).sqrt()


def layer_sizes(module: nn.Module) -> tuple[int, int]:
    """A linear layer's (out, in); its weights need not be in memory."""
    weight: Tensor = module.weight  # type: ignore[assignment]
    first, second = weight.shape
    return (second, first) if isinstance(module, Conv1D) else (first, second)


def frozen_weight(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """A linear layer's weight as (out, in), whichever way it is stored, and its bias."""
    weight: Tensor = module.weight  # type: ignore[assignment]
    bias: Tensor | None = module.bias  # type: ignore[assignment]
    return (weight.t() if isinstance(module, Conv1D) else weight), bias


def held_weight(module: nn.Module) -> tuple[Frozen, Tensor | None]:
    """The same of a layer that is trained on, whose weight may be held in NF4."""
    if isinstance(module, Nf4Linear):
        return module.weight, module.bias
    return frozen_weight(module)


def is_transposed(module: nn.Module) -> bool:
    """Whether a linear layer's weight is stored as (in, out) in the model's own folder."""
    return isinstance(module, Conv1D) or (isinstance(module, Nf4Linear) and module.is_transposed)
