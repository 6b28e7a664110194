"""No importance at all: what every other scorer has to beat."""

from __future__ import annotations

import torch
from torch import Tensor


def random(units: int, seed: int) -> Tensor:
    """(units,) draws from [0, 1), the same for the same seed on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(units, generator=generator, dtype=torch.float64)
