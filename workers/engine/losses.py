"""Cross-entropy with half the memory traffic: the gradient takes the forward pass's own buffer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from workers.engine.kernels.head import Scored, head_loss
from workers.engine.models import Batch, exact_dtype, hidden_of, logits_of, plain_head, within


class _CrossEntropySum(torch.autograd.Function):
    """-Σ log softmax(logits)[label] for logits (L, vocabulary) and labels (L,)."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        logs = logits.log_softmax(-1, dtype=torch.float32)
        ctx.save_for_backward(logs, labels)
        ctx.dtype = logits.dtype
        return logs.gather(1, labels[:, None]).sum().neg()

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Softmax minus one at the label; uses up the saved buffer, so it can run once only."""
        logs, labels = ctx.saved_tensors
        gradient = logs.exp_().mul_(dy)
        rows = torch.arange(len(labels), device=labels.device)
        gradient[rows, labels] -= dy
        return gradient.to(ctx.dtype), None


def loss_sum(logits: Tensor, labels: Tensor) -> Tensor:
    """Summed cross-entropy in nats, computed in fp32, of logits (L, vocabulary) for labels (L,)."""
    apply = cast("Callable[..., Tensor]", _CrossEntropySum.apply)
    return apply(logits, labels)


def weighted_loss(model: nn.Module, batch: Batch, weights: Tensor) -> tuple[Tensor, Scored]:
    """Σ weights · cross-entropy over the batch's learned places, and each one's share.

    `weights` (L,) is what each place counts. Memory does not grow with the vocabulary where the
    head is plain.
    """
    found: tuple[Tensor, Scored] = within(model, _weighted_loss, batch, weights)
    return found


def _weighted_loss(model: nn.Module, batch: Batch, weights: Tensor) -> tuple[Tensor, Scored]:
    head = plain_head(model)
    if head is not None:
        rows = hidden_of(model, batch)
        return head_loss(rows, head.weight, head.bias, batch.labels, weights)
    logits = logits_of(model, batch)
    losses = cross_entropy(logits.float(), batch.labels, reduction="none")
    hits = logits.detach().argmax(-1) == batch.labels
    return (losses * weights).sum(), Scored(losses.detach(), hits)


def losses_then(
    model: nn.Module, batch: Batch, then: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """A loss that is any function of the learned tokens' cross-entropies, and these themselves.

    `then` takes (L,), in nats, to a scalar. Where the head is plain, logits are made twice, once
    for the losses and once for their gradient, and never kept.
    """
    found: tuple[Tensor, Tensor] = within(model, _losses_then, batch, then)
    return found


def _losses_then(
    model: nn.Module, batch: Batch, then: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    head = plain_head(model)
    if head is None:
        losses = cross_entropy(logits_of(model, batch).float(), batch.labels, reduction="none")
        return then(losses), losses.detach()
    rows = hidden_of(model, batch)
    with torch.no_grad():
        each = torch.ones_like(batch.labels, dtype=exact_dtype(model))
        _, scored = head_loss(rows.detach(), head.weight, head.bias, batch.labels, each)
    if not torch.is_grad_enabled():
        return then(scored.losses), scored.losses
    losses = scored.losses.detach().requires_grad_()
    value = then(losses)
    (weights,) = torch.autograd.grad(value, losses)
    total, _ = head_loss(rows, head.weight, head.bias, batch.labels, weights)
    return total + (value - total).detach(), scored.losses  # of `value`, with its gradient


def batch_loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """The batch's summed cross-entropy, and how many of its labels were guessed."""
    weights = torch.ones_like(batch.labels, dtype=exact_dtype(model))
    loss, scored = weighted_loss(model, batch, weights)
    return loss, scored.hits.sum()
