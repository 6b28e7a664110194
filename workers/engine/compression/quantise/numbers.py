"""Weights and activations as numbers of few bits, and how those are packed. Pure.

Rounding is to nearest, ties to even, about zero; x ≈ numbers · scale.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

INT8_LIMIT = 127  # symmetric: -128 is not used
INT4_LOW, INT4_HIGH = -8, 7
FLOAT8 = torch.float8_e4m3fn
FLOAT8_LIMIT = 448  # its largest number; it has no infinity
WORD = 32  # bits


def int8_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest int8 numbers and the scale (rows, 1) of each row of x (rows, n).

    Each number times its scale is within half a scale of x.
    """
    scale = _positive(x.abs().amax(dim=1, keepdim=True).float() / INT8_LIMIT)
    return (x / scale).round_().to(torch.int8), scale


def float8_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest e4m3 numbers and the scale (rows, 1) of each row of x (rows, n).

    Four bits of exponent and three of fraction (Micikevicius et al. 2022, arXiv:2209.05433): within
    a sixteenth of x, or, for what is smaller than 2⁻⁶ of a scale, within 2⁻¹⁰ of one.
    """
    scale = _positive(x.abs().amax(dim=1, keepdim=True).float() / FLOAT8_LIMIT)
    return (x / scale).clamp_(-FLOAT8_LIMIT, FLOAT8_LIMIT).to(FLOAT8), scale


def int4_groups(x: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """The nearest of -8 … 7, as int8, and bf16 scales (rows, n / group) of x (rows, n).

    Each number times its group's scale is within half a scale of x. The scale is the least that
    allows it: the lowest number reaches half a step below itself, the highest half a step above.
    """
    parts = x.reshape(x.shape[0], -1, group)
    low, high = (each.float() for each in parts.aminmax(dim=2))
    scale = torch.maximum(low / (INT4_LOW - 0.5), high / (INT4_HIGH + 0.5))
    scale = _up_to_bfloat16(_positive(scale))
    numbers = (parts / scale.float()[..., None]).round_().clamp_(INT4_LOW, INT4_HIGH)
    return numbers.to(torch.int8).reshape(x.shape), scale


def _positive(scale: Tensor) -> Tensor:
    """Of rows of zeros too."""
    return scale.clamp_min_(torch.finfo(torch.float32).tiny)


def _up_to_bfloat16(scale: Tensor) -> Tensor:
    """The least bf16 numbers that are no smaller: a smaller scale would not span its group."""
    low = (1 << 16) - 1  # the bits that bf16 lacks
    return ((scale.view(torch.int32) + low) & ~low).view(torch.float32).to(torch.bfloat16)


def restored(numbers: Tensor, scale: Tensor) -> Tensor:
    """numbers (rows, n) · scale (rows, groups), in fp32."""
    rows, groups = scale.shape
    parts = _floats(numbers).reshape(rows, groups, numbers.shape[1] // groups)
    return parts.mul_(scale.float()[..., None]).reshape(numbers.shape)


def _floats(numbers: Tensor) -> Tensor:
    """Numbers in fp32, exactly.

    A CPU turns e4m3 one by one. With its bits in the places of fp16's each is 2⁻⁸ of what it was,
    and those are turned many at once; what is not a number, and in no weight, would become one.
    """
    if numbers.dtype != FLOAT8 or numbers.device.type != "cpu":
        return numbers.float()
    bits = numbers.view(torch.int8).to(torch.int16).bitwise_left_shift_(7)
    return bits.bitwise_and_(~(1 << 14)).view(torch.float16).float().mul_(2**8)


def packed(numbers: Tensor, bits: int) -> Tensor:
    """Signed numbers, int8 (rows, n), of 4 or 8 bits as int32 (rows, ⌈n·bits/32⌉).

    Each is raised by half its range, the first stands lowest.
    """
    raised = numbers.view(torch.uint8) + (1 << bits - 1)  # bytes come round
    raised = pad(raised, (0, -numbers.shape[1] % (WORD // bits)))
    if bits == 4:
        raised = raised[:, ::2] | raised[:, 1::2] << 4
    return raised.contiguous().view(torch.int32)


def unpacked(words: Tensor, bits: int, count: int) -> Tensor:
    """What `packed` was given: int8 (rows, count)."""
    raised = words.view(torch.uint8)
    if bits == 4:
        raised = torch.stack((raised & 15, raised >> 4), dim=2).flatten(1)
    return (raised[:, :count] - (1 << bits - 1)).view(torch.int8)
