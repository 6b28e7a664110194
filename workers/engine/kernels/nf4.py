"""Frozen weights in NF4: four bits each, whole only while a product is made of them.

Blocks of 64 share a scale, and 256 scales, less their mean, are kept in eight bits themselves:
4.127 bits a weight. Values and scales are those of bitsandbytes. Source: Dettmers et al. 2023,
"QLoRA" (arXiv:2305.14314), section 3 and appendix E.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from workers.engine.kernels.blockwise import BLOCK, dequantise, dynamic_map, quantise, scaled

WEIGHTS = 64  # that share a scale
# Where a standard normal distribution is cut into as many equal parts, within [-1, 1]; 0 is one.
VALUES = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip


@lru_cache
def _values(device: torch.device) -> Tensor:
    return torch.tensor(VALUES, device=device)


@lru_cache
def _pairs(device: torch.device) -> Tensor:
    """What each byte stands for, (256, 2): the upper four bits come first."""
    values = _values(device)
    return torch.stack((values.repeat_interleave(16), values.repeat(16)), 1)


@dataclass(frozen=True, eq=False)
class Nf4:
    """A weight of `shape` (out, in) that computes in `dtype`; see `of` and `whole`.

    `codes` are two weights a byte; `scales` (blocks,) are in eight bits, each 256 of them by one of
    `steps`, less `mean`.
    """

    codes: Tensor
    scales: Tensor
    steps: Tensor
    mean: Tensor
    shape: torch.Size
    dtype: torch.dtype

    @classmethod
    def of(cls, weight: Tensor) -> Nf4:
        """The nearest to `weight` (out, in), where that is."""
        numbers = weight.detach().reshape(-1).float()
        device = numbers.device
        codes, scales = quantise(numbers, _values(device), WEIGHTS)
        codes = torch.cat((codes, codes.new_zeros(len(codes) % 2))).view(-1, 2)
        mean = scales.mean()
        small, steps = quantise(scales - mean, dynamic_map(device, signed=True), BLOCK)
        packed = codes[:, 0] << 4 | codes[:, 1]
        return cls(packed, small, steps, mean, weight.shape, weight.dtype)

    @property
    def device(self) -> torch.device:
        return self.codes.device

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return sum(part.nbytes for part in (self.codes, self.scales, self.steps, self.mean))

    def numel(self) -> int:
        return math.prod(self.shape)

    def whole(self) -> Tensor:
        """(out, in) in `dtype`: made anew each time, and the caller's."""
        device = self.device
        steps = dequantise(self.scales, self.steps, dynamic_map(device, signed=True), BLOCK)
        pairs = _pairs(device).index_select(0, self.codes.int()).view(-1)[: self.numel()]
        return scaled(pairs, steps.add_(self.mean), WEIGHTS).view(self.shape).to(self.dtype)


Frozen = Tensor | Nf4


def whole(weight: Frozen) -> Tensor:
    """A frozen weight as a tensor, however it is held."""
    return weight.whole() if isinstance(weight, Nf4) else weight
