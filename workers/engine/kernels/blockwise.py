"""Numbers in few bits: a block of them by its largest, each then by the nearest value of a map.

Source: Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization" (arXiv:2110.02861),
section 2; the dynamic map is that of its appendix.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import pad

BLOCK = 256  # numbers that share a scale, of eight bits each
DECADES = 7  # of magnitudes that the dynamic map tells apart
TINY = 1e-30  # a block of zeros is divided by it


@lru_cache
def dynamic_map(device: torch.device, *, signed: bool) -> Tensor:
    """The 256 values of eight bits, ascending within [-1, 1] or [0, 1].

    The larger its power of ten, the more values share it: small numbers are told apart by their
    magnitude, large ones by their digits.
    """
    values = [0.0, 1.0]
    for decade in range(DECADES):
        edges = torch.linspace(0.1, 1, 2 ** (decade if signed else decade + 1) + 1)
        means = (edges[1:] + edges[:-1]) / 2 * 10.0 ** (decade + 1 - DECADES)
        values += means.tolist()
        values += (-means).tolist() if signed else []
    return torch.tensor(sorted(values), device=device)


def quantise(numbers: Tensor, values: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """Each of `numbers` (n,) as the place of the nearest of `values`, ascending, times its scale.

    Returns:
        uint8 (n,), and each block's largest magnitude (⌈n / block⌉,).
    """
    rows = _blocks(numbers, block)
    scales = rows.abs().amax(1)
    between = (values[1:] + values[:-1]) / 2
    codes = torch.bucketize(rows / scales.clamp_min(TINY)[:, None], between, out_int32=True)
    return codes.to(torch.uint8).view(-1)[: len(numbers)], scales


def dequantise(codes: Tensor, scales: Tensor, values: Tensor, block: int) -> Tensor:
    """What `quantise` made of its numbers, (n,)."""
    return scaled(values.index_select(0, codes.int()), scales, block)


def scaled(numbers: Tensor, scales: Tensor, block: int) -> Tensor:
    """(n,) times the scale of each one's block, in place; the last block may be short."""
    even = len(numbers) // block * block
    numbers[:even].view(-1, block).mul_(scales[: even // block, None])
    if even < len(numbers):
        numbers[even:].mul_(scales[-1])
    return numbers


def _blocks(numbers: Tensor, block: int) -> Tensor:
    """(n,) as rows of one block each, the last filled up with zeros."""
    short = -len(numbers) % block
    return (pad(numbers, (0, short)) if short else numbers).view(-1, block)
