"""The gate of a Llama-type MLP, silu(gate) · up, which keeps its two inputs and nothing else.

Source: Shazeer 2020, arXiv:2002.05202 (SwiGLU).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import silu


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor]:
        """With s = sigmoid(gate) and h = gate·s: dup = dy·h, dgate = dy·up·(s + h − h·s)."""
        gate, up = ctx.saved_tensors
        share = gate.sigmoid()
        hidden = gate * share
        slope = torch.addcmul(hidden, hidden, share, value=-1).add_(share)
        return slope.mul_(dy).mul_(up), hidden.mul_(dy)


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) · up, element by element."""
    apply = cast("Callable[..., Tensor]", _Gated.apply)
    return apply(gate, up)
