"""Each kernel against finite differences and against the library's own formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional
from transformers.models.llama.modeling_llama import LlamaRMSNorm, apply_rotary_pos_emb

from workers.engine.kernels import head
from workers.engine.kernels.gated import gated
from workers.engine.kernels.head import head_loss
from workers.engine.kernels.norm import rms_norm
from workers.engine.kernels.products import Delta, Product, multiply
from workers.engine.kernels.rotary import rotate


def draw(*shape: int, grad: bool = True) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.double, requires_grad=grad)


def test_rms_norm() -> None:
    x, weight = draw(3, 5), draw(5)
    assert gradcheck(lambda x, w: rms_norm(x, w, 1e-6), (x, weight))
    theirs = LlamaRMSNorm(5, eps=1e-6)
    theirs.weight.data = weight.float().detach()
    torch.testing.assert_close(rms_norm(x.float(), theirs.weight, 1e-6), theirs(x.float()))


def test_rms_norm_of_bf16_is_computed_in_fp32() -> None:
    x = torch.randn(64, 256).bfloat16()
    norm = LlamaRMSNorm(256).bfloat16()
    assert torch.equal(rms_norm(x, norm.weight, norm.variance_epsilon), norm(x))


def test_rotation() -> None:
    angles = torch.rand(4, 1, 3, dtype=torch.double).repeat(1, 1, 2)
    x, cos, sin = draw(4, 2, 6), angles.cos(), angles.sin()
    assert gradcheck(lambda x: rotate(x, cos, sin), (x,))
    q = x.detach().transpose(0, 1)[None]
    theirs, _ = apply_rotary_pos_emb(q, q, cos[None, :, 0], sin[None, :, 0])
    torch.testing.assert_close(rotate(x, cos, sin), theirs[0].transpose(0, 1))


def test_gate() -> None:
    gate, up = draw(3, 4), draw(3, 4)
    assert gradcheck(gated, (gate, up))
    torch.testing.assert_close(gated(gate, up), functional.silu(gate) * up)


@pytest.mark.parametrize("stretch", [1, 14, 10_000])
@pytest.mark.parametrize("has_bias", [True, False])
def test_head_loss_is_the_weighted_cross_entropy(
    monkeypatch: pytest.MonkeyPatch, stretch: int, has_bias: bool
) -> None:
    monkeypatch.setattr(head, "STRETCH", stretch)
    rows, W, b = draw(6, 3), draw(7, 3), draw(7) if has_bias else None
    labels, weights = torch.arange(6), torch.rand(6, dtype=torch.double)
    given = [t for t in (rows, W, b) if t is not None]

    total, scored = head_loss(rows, W, b, labels, weights)
    ours = torch.autograd.grad(3 * total, given)

    logits = functional.linear(rows, W, b)
    each = functional.cross_entropy(logits, labels, reduction="none")
    theirs = torch.autograd.grad(3 * (each * weights).sum(), given)
    torch.testing.assert_close(scored.losses, each.detach())
    assert torch.equal(scored.hits, logits.argmax(1) == labels)
    torch.testing.assert_close(ours, theirs)


def test_head_loss_of_huge_logits_is_finite() -> None:
    rows, W = torch.full((2, 1), 1e4), torch.tensor([[1.0], [-1.0]])
    total, scored = head_loss(rows, W, None, torch.tensor([0, 1]), torch.ones(2))
    assert scored.losses.tolist() == [0.0, 2e4]
    assert total.isfinite()


def low_rank(rank: int, rows: slice | None, **given: Any) -> Delta:
    return Delta(draw(rank, 5), draw(4, rank), 1.5, rows=rows, **given)


def written_out(x: torch.Tensor, product: Product) -> torch.Tensor:
    """The formula, delta by delta."""
    out = functional.linear(x, product.weight, product.bias)
    for delta in product.deltas:
        rows = delta.rows or slice(None)
        seen = x[rows] if delta.keep is None else x[rows] * delta.keep
        part = torch.zeros_like(out)
        part[rows] = delta.scale * seen @ delta.A.t() @ delta.B.t()
        out = out + part
    return out


def test_products_with_deltas_on_stretches_of_rows() -> None:
    # given two matrices, one with three deltas of different ranks, one with one after a gap
    keep = torch.empty(2, 5, dtype=torch.double).bernoulli_(0.5).mul_(2)
    first = (
        low_rank(2, slice(0, 3)),
        low_rank(1, slice(3, 5), keep=keep),
        low_rank(3, slice(6, 7)),
    )
    products = [
        Product(draw(4, 5, grad=False), draw(4, grad=False), first),
        Product(draw(4, 5, grad=False), None, (low_rank(2, slice(5, 7)),)),
    ]
    x = draw(7, 5)
    given = [x, *(t for p in products for d in p.deltas for t in (d.A, d.B))]
    pull = [draw(7, 4, grad=False) for _ in products]

    ours = multiply(x, products)
    theirs = [written_out(x, product) for product in products]

    torch.testing.assert_close(list(ours), theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours, given, pull), torch.autograd.grad(theirs, given, pull)
    )


def test_an_input_that_needs_no_gradient_gets_none() -> None:
    x, delta = draw(3, 5, grad=False), low_rank(2, None)
    (out,) = multiply(x, [Product(draw(4, 5, grad=False), None, (delta,))])
    out.sum().backward()
    assert x.grad is None
    assert delta.A.grad is not None


def test_a_bf16_base_rounds_its_own_product_only() -> None:
    # given a delta that weighs as much as the base
    W = torch.randn(4, 5)
    delta = Delta(torch.randn(2, 5), torch.randn(4, 2), 1.0)
    x = torch.randn(300, 5)
    (out,) = multiply(x, [Product(W.bfloat16(), None, (delta,))])
    exact = x @ W.t() + x @ delta.A.t() @ delta.B.t()
    rounded = (x.bfloat16() @ W.bfloat16().t()).float() + x @ delta.A.t() @ delta.B.t()
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, rounded)
    assert 0 < (out - exact).abs().max() < 0.1
