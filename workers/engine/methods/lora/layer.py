"""The LoRA layer: y = x·Wᵀ + b + s·(drop(x)·Aᵀ)·Bᵀ.

Its backward pass forms no frozen gradient. Source: Hu et al. 2021, arXiv:2106.09685.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers.pytorch_utils import Conv1D

from workers.engine.data.order import mix


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


class _LoraProduct(torch.autograd.Function):
    """x·Wᵀ + bias + scale·(x·keep·Aᵀ)·Bᵀ.

    x (..., in), W (out, in), A (r, in), B (out, r), keep (all rows of x, in) or None.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        W: Tensor,
        bias: Tensor | None,
        A: Tensor,
        B: Tensor,
        scale: float,
        keep: Tensor | None,
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        dropped = flat if keep is None else flat * keep
        A, B = A.to(x.dtype), B.to(x.dtype)
        hidden = dropped @ A.t()
        out = linear(flat, W, bias).addmm_(hidden, B.t(), alpha=scale)
        ctx.save_for_backward(dropped, hidden, W, A, B, keep)
        ctx.scale, ctx.shape = scale, x.shape
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        dropped, hidden, W, A, B, keep = ctx.saved_tensors
        dy = dy.reshape(-1, dy.shape[-1])
        dhidden = (dy @ B).mul_(ctx.scale)
        dA = dhidden.t() @ dropped
        dB = (dy.t() @ hidden).mul_(ctx.scale)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = dy @ W
            if keep is None:
                dx.addmm_(dhidden, A)
            else:
                dx.addcmul_(dhidden @ A, keep)
            dx = dx.view(ctx.shape)
        return dx, None, None, dA, dB, None, None


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
        weight, bias = frozen_weight(self.base)
        apply = cast("Callable[..., Tensor]", _LoraProduct.apply)
        return apply(x, weight, bias, self.A, self.B, self.scale, self._keep(x))

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
