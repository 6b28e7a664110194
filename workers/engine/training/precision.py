"""In which numbers a member computes: fp32, or half of them where the device is faster so.

An adapter's base is stored in the fast type, and `kernels` keep sums in fp32. A model that is
trained whole keeps its weights in fp32, for small updates would round to nothing, and products are
cast (`torch.autocast`). fp16 holds no small gradients: the loss is scaled up before the backward
pass. Source: Micikevicius et al. 2018, "Mixed Precision Training" (arXiv:1710.03740).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from workers.engine.models import DTYPES
from workers.engine.protocol import Numerics
from workers.engine.training.ranks import Ranks

FIRST_SCALE, LEAST_SCALE, BACKOFF = 2.0**16, 1.0, 0.5


class Precision:
    """How one member's passes are computed, and by how much its loss is scaled."""

    def __init__(self, numerics: Numerics, method: str, ranks: Ranks) -> None:
        self._device = torch.device(numerics.device).type
        self._dtype = DTYPES[numerics.dtype]
        self._is_cast = method == "full" and self._dtype in (torch.bfloat16, torch.float16)
        self._ranks = ranks
        self._scaler: torch.amp.GradScaler | None = None
        if self._dtype is torch.float16:
            self._scaler = torch.amp.GradScaler(
                self._device, init_scale=FIRST_SCALE, backoff_factor=BACKOFF
            )

    def computing(self) -> AbstractContextManager[Any]:
        """Open around every forward pass."""
        if not self._is_cast:
            return nullcontext()
        return torch.autocast(self._device, self._dtype)

    def scaled(self, loss: Tensor) -> Tensor:
        """What the backward pass begins with."""
        return loss if self._scaler is None else self._scaler.scale(loss)

    def unscale(self, parameters: Iterable[Tensor]) -> bool:
        """Give the parameters their true gradients.

        Returns False where these were too large for the scale, which is smaller from now on: the
        passes have to be made again, so nothing is skipped and no example lost.
        """
        if self._scaler is None:
            return True
        trained = list(parameters)
        # all that `unscale_` reads of an optimiser; ours is not of torch's kind
        group = cast("Optimizer", SimpleNamespace(param_groups=[{"params": trained}]))
        self._scaler.unscale_(group)
        norms = torch._foreach_norm([cast("Tensor", p.grad) for p in trained])  # noqa: SLF001
        broken = not math.isfinite(float(torch.stack(norms).sum()))
        scale = self._scaler.get_scale()
        if self._ranks.most(broken) and scale > LEAST_SCALE:
            self._scaler.update(scale * BACKOFF)
            return False
        self._scaler.update()
        return True

    def state(self) -> dict[str, float]:
        """What a snapshot keeps: the scale, and for how long it has held."""
        return {} if self._scaler is None else dict(self._scaler.state_dict())

    def load(self, state: Mapping[str, float]) -> None:
        """Go on from a snapshot's."""
        if self._scaler is not None and state:
            self._scaler.load_state_dict(dict(state))
