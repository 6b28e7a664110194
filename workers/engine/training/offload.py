"""Layers that do not fit: frozen blocks whose weights stay in their files while others compute.

A block's weights are read as it is about to compute, forward or backward, and given up when the
next one is. The file is the home of all: its pages in the system's cache are the processor's
memory, shared by every process that uses this base, so on an accelerator they come from there, and
without one from the disk where memory is short. Only frozen weights can be read again, so this is
for adapters. Idea: Rajbhandari et al. 2021, "ZeRO-Infinity" (arXiv:2104.07857).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workers.engine.models import blocks_of
from workers.engine.protocol import Numerics
from workers.engine.stored import Files, unfilled


def offloaded_load(folder: Path, numerics: Numerics, *, resident: int) -> nn.Module:
    """The model of `models.model_load`, of whose blocks the first `resident` are in memory.

    Raises:
        ModelError: the folder does not hold the weights under the model's own names.
    """
    model = unfilled(folder, numerics.dtype)
    files = Files(folder)
    blocks = list(blocks_of(model))[resident:]
    waiting = {id(p) for block in blocks for p in block.parameters()}
    rotating = _Rotating(files, numerics.device)
    by_name = dict(model.named_parameters())
    names = {id(p): name for name, p in by_name.items()}
    for name, parameter in by_name.items():
        files.check(name, parameter)
    for block in blocks:
        rotating.take(block, {names[id(p)]: p for p in block.parameters()})
    files.fill({n: p for n, p in by_name.items() if id(p) not in waiting}, numerics.device)
    return model.to(numerics.device)


class _Rotating:
    """Blocks of which one has its weights at a time.

    A parameter stays the same tensor throughout, and only its memory comes and goes, so what
    autograd has kept of it is whole again when the backward pass comes there.
    """

    def __init__(self, files: Files, device: str) -> None:
        self._files, self._device = files, device
        self._weights: dict[nn.Module, dict[str, nn.Parameter]] = {}
        self._present: nn.Module | None = None

    def take(self, block: nn.Module, weights: Mapping[str, nn.Parameter]) -> None:
        """Empty the block's weights, and fill them whenever it computes."""
        for parameter in weights.values():
            parameter.data = torch.empty_like(parameter, device=self._device)
            parameter.untyped_storage().resize_(0)
        self._weights[block] = dict(weights)
        block.register_forward_pre_hook(lambda *_: self._enter(block))
        block.register_forward_hook(lambda _block, _given, out: self._await_backward(block, out))

    def _await_backward(self, block: nn.Module, out: Any) -> None:
        """Fill the block again when the gradient of what it made is known: its own come next."""
        made = out[0] if isinstance(out, tuple) else out
        if made.requires_grad:
            made.register_hook(lambda _gradient: self._enter(block))

    def _enter(self, block: nn.Module) -> None:
        if self._present is block:
            return
        if self._present is not None:
            for parameter in self._weights[self._present].values():
                parameter.untyped_storage().resize_(0)
        weights = self._weights[block]
        for name, parameter in weights.items():
            (tensor,) = self._files.read({name: parameter.dtype}, self._device).values()
            parameter.untyped_storage().resize_(parameter.numel() * parameter.element_size())
            parameter.data.copy_(tensor)  # by `data`: to autograd it has not changed
        self._present = block
