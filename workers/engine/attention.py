"""Causal attention for packed training and cached decoding.

Registered with transformers under one name. The model passes through what it is called with:
`bounds` for a pack, nothing for a (cached) sequence. On a CPU a loop of SDPA over the sequences
beats padding and block masks.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "breakwater"


def attention(
    _module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    bounds: tuple[int, ...] | None = None,
    rows: Tensor | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend causally within each sequence.

    Args:
        query: (1, heads, Q, dim); `key`, `value`: (1, kv heads, K, dim), K ≥ Q; the last query
            stands at the last key.
        attention_mask: must be None; sequences are told apart by `bounds`.
        bounds: where each packed sequence starts, and K at the end; None = one sequence.
        rows: (Q,) ascending, where in the pack the queries stand; None = they are the last Q.

    Returns:
        (1, Q, heads, dim), and None for the weights.
    """
    if attention_mask is not None:
        raise ValueError("this attention takes no mask; give each sequence its own place in bounds")
    if key.shape[1] != query.shape[1]:
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    if rows is not None:
        ends = bounds or (0, key.shape[2])
        return _chosen(query, key, value, scaling, sliding_window, ends, rows), None
    if bounds is None or len(bounds) == 2:
        return _one(query, key, value, scaling, sliding_window).transpose(1, 2), None
    # split, not slices: a slice's backward pass fills a whole zero tensor for each sequence
    sizes = [stop - start for start, stop in pairwise(bounds)]
    each = zip(*(torch.split(t, sizes, dim=2) for t in (query, key, value)), strict=True)
    parts = [_one(q, k, v, scaling, sliding_window) for q, k, v in each]
    return torch.cat(parts, dim=2).transpose(1, 2), None


def _chosen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float | None,
    window: int | None,
    bounds: tuple[int, ...],
    rows: Tensor,
) -> Tensor:
    """(1, Q, heads, dim): queries at `rows` only, each over its own sequence up to itself."""
    ends = torch.searchsorted(rows, torch.tensor(bounds, device=rows.device)).tolist()
    counts = [stop - start for start, stop in pairwise(ends)]
    sizes = [stop - start for start, stop in pairwise(bounds)]
    parts = []
    for q, k, v, at, start in zip(
        torch.split(query, counts, dim=2),
        torch.split(key, sizes, dim=2),
        torch.split(value, sizes, dim=2),
        torch.split(rows, counts),
        bounds[:-1],
        strict=True,
    ):
        if len(at):
            mask = _up_to(at - start, k.shape[2], window)
            parts.append(scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling))
    return torch.cat(parts, dim=2).transpose(1, 2)


def _one(q: Tensor, k: Tensor, v: Tensor, scaling: float | None, window: int | None) -> Tensor:
    rows, columns = q.shape[2], k.shape[2]
    if window is not None and columns > window:
        mask = _band(rows, columns, window, q.device)
        return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling)
    if 1 < rows < columns:
        mask = _band(rows, columns, columns, q.device)
        return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling)
    return scaled_dot_product_attention(q, k, v, is_causal=rows > 1, scale=scaling)


def _band(rows: int, columns: int, window: int, device: torch.device) -> Tensor:
    """(rows, columns): true where the key stands at the query or less than `window` before it."""
    return _up_to(torch.arange(columns - rows, columns, device=device), columns, window)


def _up_to(last: Tensor, columns: int, window: int | None) -> Tensor:
    """(rows, columns): true at the key `last` (rows,) of each row and less than `window` before."""
    keys = torch.arange(columns, device=last.device)[None, :]
    mask = keys <= last[:, None]
    return mask if window is None else mask & (keys > last[:, None] - window)


AttentionInterface.register(NAME, attention)
