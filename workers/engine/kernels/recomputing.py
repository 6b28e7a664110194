"""Selective saving: what is cheap to form again is not kept for the backward pass.

Korthikanti et al. 2022, arXiv:2205.05198 (selective recomputation): products stay, passes over
memory are repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

Form = Callable[[], Tensor]


class Recomputed:
    """While open, autograd keeps a marked tensor's recipe in the tensor's place."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, torch.Size], tuple[Tensor, Form]] = {}

    def mark(self, tensor: Tensor, form: Form) -> Tensor:
        """Return `tensor`, which `form()` makes again, bit for bit.

        It is held until the context ends, so that its memory, by which it is known, is not another
        tensor's meanwhile.
        """
        self._known[tensor.data_ptr(), tensor.shape] = (tensor, form)
        return tensor

    @contextmanager
    def open(self) -> Iterator[None]:
        with saved_tensors_hooks(self._pack, _unpack):
            try:
                yield
            finally:
                self._known.clear()

    def _pack(self, tensor: Tensor) -> Tensor | Form:
        _, form = self._known.get((tensor.data_ptr(), tensor.shape), (None, None))
        return form or tensor


def _unpack(kept: Tensor | Form) -> Tensor:
    if isinstance(kept, Tensor):
        return kept
    with torch.no_grad():
        return kept()
