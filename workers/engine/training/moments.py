"""Running means of gradients in eight bits: a quarter of their memory, nearly the same steps.

Source: Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization" (arXiv:2110.02861).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.engine.kernels.blockwise import BLOCK, dequantise, dynamic_map, quantise

FEWEST = 4096  # numbers of a tensor whose moments are worth it, as in bitsandbytes
STRETCH = 2**22  # numbers that are exact at once; whole blocks


def codes_of(weight: Tensor) -> Tensor:
    """A moment of zeros for `weight`, in its shape; exact where that is small."""
    few = weight.numel() < FEWEST
    return torch.zeros_like(weight, dtype=weight.dtype if few else torch.uint8)


def scales_of(weight: Tensor) -> Tensor:
    """The scales of such a moment's blocks; none where it is exact."""
    count = 0 if weight.numel() < FEWEST else -(-weight.numel() // BLOCK)
    return torch.zeros(count, device=weight.device)


def stretches(count: int) -> Iterator[slice]:
    """So many numbers in parts that are handled one after another."""
    return (slice(at, min(at + STRETCH, count)) for at in range(0, count, STRETCH))


@dataclass(frozen=True)
class Moment:
    """One parameter's, begun by `codes_of` and `scales_of`; `is_signed`: it may be negative."""

    codes: Tensor
    scales: Tensor
    is_signed: bool

    def read(self, part: slice) -> Tensor:
        """Those of its numbers, exact, to be changed and written again."""
        codes = self.codes.view(-1)[part]
        if not len(self.scales):
            return codes
        return dequantise(codes, self.scales[self._blocks(part)], self._values(), BLOCK)

    def write(self, part: slice, numbers: Tensor) -> None:
        """Keep the nearest to `numbers` there."""
        if len(self.scales):
            codes, self.scales[self._blocks(part)] = quantise(numbers, self._values(), BLOCK)
            self.codes.view(-1)[part] = codes

    def _blocks(self, part: slice) -> slice:
        return slice(part.start // BLOCK, -(-part.stop // BLOCK))

    def _values(self) -> Tensor:
        return dynamic_map(self.codes.device, signed=self.is_signed)
