"""Decoder blocks of the Llama kind, computed with this package's kernels while training.

The module tree, its weights and its names stay; only `forward` of each block is another. Against
the library's own: one pass over q, k, v and over gate, up; fewer passes over memory in norms,
rotary embedding and gate; and, in the last block, queries, output and MLP at the learned places
only, since nothing else is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from workers.engine.attention import attention
from workers.engine.kernels.gated import gated
from workers.engine.kernels.norm import rms_norm
from workers.engine.kernels.products import Product, multiply
from workers.engine.kernels.recomputing import Recomputed
from workers.engine.kernels.rotary import rotate
from workers.engine.models import blocks_of

KINDS = frozenset(f"{family}DecoderLayer" for family in ("Llama", "Mistral", "Qwen2", "Qwen3"))
NORMS = frozenset(f"{family}RMSNorm" for family in ("Llama", "Mistral", "Qwen2", "Qwen3"))


@contextmanager
def fast_blocks(model: nn.Module, *, selective: bool = False) -> Iterator[None]:
    """While open, blocks of a known kind are computed as here; other models are left alone.

    `selective`: what norms and gates make is not kept for the backward pass but made again.
    """
    blocks = list(blocks_of(model))
    changed: list[nn.Module] = []
    if all(_is_of(block, KINDS) and _has_silu(block) for block in blocks):
        for block in blocks:
            block.forward = partial(
                _forward, block, is_last=block is blocks[-1], selective=selective
            )
        norms = [m for m in model.modules() if _is_of(m, NORMS)]
        for norm in norms:
            norm.forward = partial(_norm, norm)
        changed = [*blocks, *norms]
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _is_of(module: nn.Module, names: frozenset[str]) -> bool:
    """Whether its class, or the one that FSDP made it a subclass of, is one of these."""
    return any(kind.__name__ in names for kind in type(module).__mro__[:3])


def _has_silu(block: Any) -> bool:
    return bool(block.mlp.config.hidden_act == "silu")


def _norm(module: Any, x: Tensor) -> Tensor:
    return rms_norm(x, module.weight, module.variance_epsilon)


def _forward(
    block: Any,
    hidden_states: Tensor,
    *,
    is_last: bool,
    selective: bool,
    position_embeddings: tuple[Tensor, Tensor],
    bounds: tuple[int, ...] | None = None,
    places: Tensor | None = None,
    past_key_values: Any = None,
    **rest: Any,
) -> Tensor:
    """(1, T, n) to (1, T, n), or in the last block to (1, L, n) if `places` (L,) are given."""
    if past_key_values is not None or len(hidden_states) != 1:
        given = {"position_embeddings": position_embeddings, "past_key_values": past_key_values}
        out: Tensor = type(block).forward(block, hidden_states, **given, bounds=bounds, **rest)
        return out
    rows = places if is_last else None
    # sums of many blocks' outputs stay exact, whatever the base is stored in
    x = hidden_states[0].to(torch.promote_types(hidden_states.dtype, torch.float32))
    again = Recomputed()
    with again.open() if selective else nullcontext():
        normed = _normed(block.input_layernorm, x, again)
        mixed = _attend(block.self_attn, normed, position_embeddings, bounds, rows)
        x = mixed + (x if rows is None else x[rows])
        mlp = block.mlp
        normed = _normed(block.post_attention_layernorm, x, again)
        gate, up = products(normed, (mlp.gate_proj, mlp.up_proj))
        hidden = again.mark(gated(gate, up), partial(gated, gate.detach(), up.detach()))
        (down,) = products(hidden, (mlp.down_proj,))
    return (x + down)[None]


def _normed(norm: Any, x: Tensor, again: Recomputed) -> Tensor:
    form = partial(rms_norm, x.detach(), norm.weight, norm.variance_epsilon)
    return again.mark(norm(x), form)


def _attend(
    attn: Any,
    x: Tensor,
    angles: tuple[Tensor, Tensor],
    bounds: tuple[int, ...] | None,
    rows: Tensor | None,
) -> Tensor:
    """Attention of all tokens, or of those at `rows`, over the normed x (T, n)."""
    cos, sin = (part[0, :, None] for part in angles)
    if rows is None:
        q, k, v = products(x, (attn.q_proj, attn.k_proj, attn.v_proj))
        at = (cos, sin)
    else:
        k, v = products(x, (attn.k_proj, attn.v_proj))
        (q,) = products(x[rows], (attn.q_proj,))
        at = (cos[rows], sin[rows])
    q, k, v = (part.view(len(part), -1, attn.head_dim) for part in (q, k, v))
    if hasattr(attn, "q_norm"):
        q, k = attn.q_norm(q), attn.k_norm(k)
    q, k = rotate(q, *at), rotate(k, cos, sin)
    window = getattr(attn, "sliding_window", getattr(attn.config, "sliding_window", None))
    query, key, value = (part.transpose(0, 1)[None] for part in (q, k, v))
    mixed, _ = attention(
        attn,
        query,
        key,
        value,
        None,
        scaling=attn.scaling,
        bounds=bounds,
        rows=rows,
        sliding_window=window,
    )
    (out,) = products(mixed.reshape(len(q), -1), (attn.o_proj,))
    return out


def products(x: Tensor, modules: Sequence[nn.Module]) -> tuple[Tensor, ...]:
    """What each of the linear `modules` makes of x, in one pass if all are frozen."""
    known = [_product(module, x) for module in modules]
    if len(known) > 1 and any(
        p is None or any(d.keep is not None for d in p.deltas) for p in known
    ):
        return tuple(products(x, (module,))[0] for module in modules)
    if known[0] is None:
        return (modules[0](x),)
    return multiply(x, [p for p in known if p is not None])


def _product(module: Any, x: Tensor) -> Product | None:
    if hasattr(module, "product"):
        found: Product = module.product(x)
        return found
    frozen = isinstance(module, nn.Linear) and not module.weight.requires_grad
    return Product(module.weight, module.bias) if frozen else None
