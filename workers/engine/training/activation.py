"""Activation checkpointing: keep each block's input, recompute the rest in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from workers.engine.models import blocks_of


@contextmanager
def checkpointing(model: nn.Module, mode: str) -> Iterator[None]:
    """While open, each decoder block of `model` is recomputed (`mode` "full") or kept (else).

    "selective" is the blocks' own business (`kernels.block`).
    Chen et al. 2016, arXiv:1604.06174. Nothing inside draws from torch's global generator, so none
    is stored.
    """
    blocks = list(blocks_of(model)) if mode == "full" else []
    before = [vars(block).get("forward") for block in blocks]
    for block in blocks:
        block.forward = partial(
            checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False
        )
    try:
        yield
    finally:
        for block, earlier in zip(blocks, before, strict=True):
            del block.forward
            if earlier is not None:
                block.forward = earlier
