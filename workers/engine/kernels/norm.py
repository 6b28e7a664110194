"""RMSNorm in six passes over memory, forward and backward, where autograd takes twenty.

Source: Zhang & Sennrich 2019, arXiv:1910.07467.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor


class _RmsNorm(torch.autograd.Function):
    """x / √(mean(x²) + ε) · weight over the last dimension, computed in fp32 at least."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        size = torch.linalg.vector_norm(exact, dim=-1, keepdim=True)
        scale = size.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        out: Tensor = (exact * scale).to(x.dtype).mul_(weight)
        return out

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """With n = x·scale and g = dy·weight: dx = scale·(g − n·mean(g·n)), dweight = Σ dy·n."""
        x, weight, scale = ctx.saved_tensors
        exact = x.to(scale.dtype)
        dweight = None
        if ctx.needs_input_grad[1]:
            dweight = (dy * exact).mul_(scale).flatten(0, -2).sum(0).to(weight.dtype)
        g = dy.to(scale.dtype) * weight
        pull = (g * exact).mean(-1, keepdim=True).mul_(scale).mul_(scale).mul_(scale)
        return g.mul_(scale).addcmul_(exact, pull, value=-1).to(x.dtype), dweight, None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x (..., n) divided by its root mean square over n, times weight (n,)."""
    apply = cast("Callable[..., Tensor]", _RmsNorm.apply)
    return apply(x, weight, eps)
