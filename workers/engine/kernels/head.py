"""The output head and its cross-entropy in one go, a stretch of rows at a time.

The logits of a stretch stay in the processor's cache and are never kept: their gradient is formed
in the forward pass. Memory does not grow with rows × vocabulary. Idea: Hsu et al. 2024, "Liger
Kernel" (arXiv:2410.10989).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

STRETCH = 2**21  # logits at once: 8 MiB in fp32


class Scored(NamedTuple):
    """`losses` (L,): -log softmax at each label, in nats and fp32; `hits` (L,): whether the label
    has the largest logit."""

    losses: Tensor
    hits: Tensor


class _HeadLoss(torch.autograd.Function):
    """Σ weights · cross-entropy of rows (L, n) under the head W (vocabulary, n), b or None."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, W: Tensor, b: Tensor | None, labels: Tensor, weights: Tensor
    ) -> Any:
        device = rows.device.type
        low = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else W.dtype
        with torch.autocast(device, enabled=False):  # products in `low`, sums in fp32 at least
            return _HeadLoss._forward(ctx, rows, W, b, labels, weights, low)

    @staticmethod
    def _forward(
        ctx: Any,
        rows: Tensor,
        W: Tensor,
        b: Tensor | None,
        labels: Tensor,
        weights: Tensor,
        low: torch.dtype,
    ) -> Any:
        needs_rows, needs_W, needs_b = ctx.needs_input_grad[:3]
        thin = W.to(low)
        drows = torch.empty_like(rows) if needs_rows else None
        dW = torch.zeros_like(W) if needs_W else None
        db = torch.zeros_like(b) if b is not None and needs_b else None
        exact = torch.promote_types(rows.dtype, torch.float32)
        losses = rows.new_empty(len(rows), dtype=exact)
        hits = torch.empty_like(labels, dtype=torch.bool)
        for part in _stretches(len(rows), W.shape[0]):
            g = _softmax_loss(rows[part], thin, b, labels[part], losses[part], hits[part])
            each = weights[part, None].to(g.dtype)
            if drows is not None:  # weighed after the product: fewer numbers than logits
                drows[part] = (g.to(low) @ thin).to(g.dtype).mul_(each)
            if db is not None:
                db += each[:, 0] @ g
            if dW is not None:
                learned, seen = g.mul_(each).to(low), rows[part].to(low)
                if low is W.dtype:
                    dW.addmm_(learned.t(), seen)
                else:
                    dW += learned.t() @ seen
        ctx.save_for_backward(drows, dW, db)
        ctx.mark_non_differentiable(losses, hits)
        return losses @ weights.to(losses.dtype), losses, hits

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        """The gradients that the forward pass has formed, times dy; can run once only."""
        scaled = [None if g is None else g.mul_(dy) for g in ctx.saved_tensors]
        return *scaled, None, None


def _stretches(rows: int, vocabulary: int) -> list[slice]:
    size = max(1, STRETCH // vocabulary)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _softmax_loss(
    rows: Tensor, W: Tensor, b: Tensor | None, labels: Tensor, losses: Tensor, hits: Tensor
) -> Tensor:
    """Fill `losses` and `hits`; return softmax minus one at the label, fp32 at least."""
    logits = torch.nn.functional.linear(rows.to(W.dtype), W, None if b is None else b.to(W.dtype))
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    at = labels[:, None]
    top = logits.amax(1, keepdim=True)
    own = logits.gather(1, at).sub_(top)
    hits.copy_((own == 0)[:, 0])
    logits.sub_(top).exp_()
    total = logits.sum(1, keepdim=True)
    losses.copy_((total.log() - own)[:, 0])
    logits.div_(total)
    return logits.scatter_add_(1, at, torch.full_like(own, -1))


def head_loss(
    rows: Tensor, W: Tensor, b: Tensor | None, labels: Tensor, weights: Tensor
) -> tuple[Tensor, Scored]:
    """The weighted sum of cross-entropies, and each row's share.

    Args:
        rows: (L, n), the last hidden states.
        W: (vocabulary, n); `b`: (vocabulary,) or None.
        labels: (L,) int64; `weights`: (L,), what each row's loss counts in the sum.
    """
    apply = cast("Callable[..., tuple[Tensor, Tensor, Tensor]]", _HeadLoss.apply)
    total, losses, hits = apply(rows, W, b, labels, weights)
    return total, Scored(losses, hits)
