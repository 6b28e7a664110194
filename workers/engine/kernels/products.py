"""Products of one input with several frozen matrices, each with low-rank deltas on some rows.

y_j = x·W_jᵀ + b_j, and y_j[rows] += s·(drop(x[rows])·Aᵀ)·Bᵀ for each delta of W_j. One delta over
all rows is LoRA (Hu et al. 2021, arXiv:2106.09685); several, each over its own tenant's rows, are a
cohort's. The backward pass forms no frozen gradient and sums dx in place. Of a product with a thin
side the thin one comes first, (r, T) rather than (T, r): a CPU is two to four times faster so.

A base in bf16 takes x in bf16 for its product, and only there: deltas and sums stay in x's fp32.
One in NF4 is made whole for each product, forward and again backward, and not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import linear

from workers.engine.kernels.nf4 import Frozen, whole


@dataclass(frozen=True)
class Delta:
    """s·B·A on the rows of `rows` (None = all).

    A (r, in), B (out, r); `keep` (rows, in) is the dropout mask over the share kept, or None.
    """

    A: Tensor
    B: Tensor
    scale: float
    rows: slice | None = None
    keep: Tensor | None = None


@dataclass(frozen=True)
class Product:
    """A frozen W (out, in), its bias (out,) or None, and the deltas on it."""

    weight: Frozen
    bias: Tensor | None
    deltas: tuple[Delta, ...] = ()


class _Products(torch.autograd.Function):
    """x (T, in) and the As and Bs of all deltas, in order, to one (T, out) per product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, products: Sequence[Product], *_trained: Tensor) -> Any:
        outs, hiddens = [], []
        low = x.to(products[0].weight.dtype)
        for product in products:
            out = linear(low, whole(product.weight), product.bias).to(x.dtype)
            for delta in product.deltas:
                hidden = delta.A.to(x.dtype) @ _seen(x, delta).t()
                _rows(out, delta).addmm_(hidden.t(), delta.B.to(x.dtype).t(), alpha=delta.scale)
                hiddens.append(hidden)
            outs.append(out)
        ctx.save_for_backward(x, *hiddens)
        ctx.products = products
        return tuple(outs)

    @staticmethod
    def backward(ctx: Any, *dys: Tensor) -> tuple[Any, ...]:
        x, *hiddens = ctx.saved_tensors
        dx = None
        trained: list[Tensor] = []
        left = iter(hiddens)
        for product, dy in zip(ctx.products, dys, strict=True):
            if ctx.needs_input_grad[0]:
                dx = _add_product(dx, dy, whole(product.weight))
            for delta in product.deltas:
                part = _rows(dy, delta)
                dhidden = (delta.B.to(x.dtype).t() @ part.t()).mul_(delta.scale)
                dA = dhidden @ _seen(x, delta)
                dB = (next(left) @ part).mul_(delta.scale).t().contiguous()
                trained += [dA.to(delta.A.dtype), dB.to(delta.B.dtype)]
                if dx is not None:
                    _pull_back(_rows(dx, delta), dhidden, delta)
        return dx, None, *trained


def _add_product(total: Tensor | None, dy: Tensor, weight: Tensor) -> Tensor:
    """total + dy·W, in place."""
    if weight.dtype == dy.dtype:
        return dy @ weight if total is None else total.addmm_(dy, weight)
    part = dy.to(weight.dtype) @ weight
    return part.to(dy.dtype) if total is None else total.add_(part)


def _rows(tensor: Tensor, delta: Delta) -> Tensor:
    return tensor if delta.rows is None else tensor[delta.rows]


def _seen(x: Tensor, delta: Delta) -> Tensor:
    part = _rows(x, delta)
    return part if delta.keep is None else part * delta.keep


def _pull_back(dx: Tensor, dhidden: Tensor, delta: Delta) -> None:
    if delta.keep is None:
        dx.addmm_(dhidden.t(), delta.A.to(dx.dtype))
    else:
        dx.addcmul_(dhidden.t() @ delta.A.to(dx.dtype), delta.keep)


def multiply(x: Tensor, products: Sequence[Product]) -> tuple[Tensor, ...]:
    """x (..., in) by each of `products`, to (..., out) each."""
    trained = [tensor for p in products for d in p.deltas for tensor in (d.A, d.B)]
    apply = cast("Callable[..., tuple[Tensor, ...]]", _Products.apply)
    outs = apply(x.reshape(-1, x.shape[-1]), tuple(products), *trained)
    return tuple(out.view(*x.shape[:-1], -1) for out in outs)
