"""Stored numbers as torchao's tensors, whose `linear` is its kernel.

torchao takes seconds to import, so it is imported only where one is made.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from workers.engine.compression.quantise.formats import GROUPS
from workers.engine.compression.quantise.linear import QuantisedLinear

LEAST = 1e-12  # of a token's largest activation: one of zeros would divide by zero
INNER, TILE, PADDED = 8, 8, 1024  # of tinygemm's layout: k-tiles inside, rows and inputs in all
WHOLE_ROW = 128  # the group by which a scale of a whole row is repeated


def int8_tensor(layer: QuantisedLinear) -> Tensor:
    from torchao.quantization import Int8Tensor

    numbers, scale = layer.form.numbers(layer.stored, layer.inputs)
    found: Tensor = Int8Tensor(numbers, scale.float(), [1, layer.inputs], layer.dtype)
    return found


def float8_tensor(layer: QuantisedLinear) -> Tensor:
    from torchao.float8.inference import Float8MMConfig
    from torchao.quantization import Float8Tensor, PerRow
    from torchao.quantization.quantize_.common import KernelPreference
    from torchao.quantization.quantize_.workflows import QuantizeTensorToFloat8Kwargs

    numbers, scale = layer.form.numbers(layer.stored, layer.inputs)
    torchs = KernelPreference.TORCH
    tokens = QuantizeTensorToFloat8Kwargs(
        numbers.dtype, PerRow(), hp_value_lb=LEAST, kernel_preference=torchs
    )
    found: Tensor = Float8Tensor(
        numbers,
        scale.float(),
        block_size=[1, layer.inputs],
        mm_config=Float8MMConfig(use_fast_accum=True),
        act_quant_kwargs=tokens if layer.form.dynamic else None,
        kernel_preference=torchs,
        dtype=layer.dtype,
    )
    return found


def int4_tensor(layer: QuantisedLinear) -> Tensor:
    from torchao.quantization import Int4TilePackedTo4dTensor

    numbers, scales, group = tinygemm(layer)
    pairs = (numbers[:, ::2] << 4 | numbers[:, 1::2]).contiguous()
    tiles = torch.ops.aten._convert_weight_to_int4pack(pairs, INNER)  # noqa: SLF001
    shape = torch.Size((layer.outputs, layer.inputs))
    found: Tensor = Int4TilePackedTo4dTensor(tiles, scales, [1, group], shape)
    return found


def tinygemm(layer: QuantisedLinear) -> tuple[Tensor, Tensor, int]:
    """An int4 layer as the tinygemm kernels count: w = (q - 8) · scale + zero.

    Returns:
        q: uint8 of 0 … 15, (out, in) filled up to their multiples with zeros of the weight.
        Scales and zeros: bf16 (groups, out, 2).
        The inputs of a group.
    """
    numbers, scale = layer.form.numbers(layer.stored, layer.inputs)
    whole = scale.shape[1] == 1 and layer.inputs not in GROUPS
    group = WHOLE_ROW if whole else layer.inputs // scale.shape[1]
    rows, columns = -layer.outputs % TILE, -layer.inputs % PADDED
    q = pad((numbers + 8).view(torch.uint8), (0, columns, 0, rows), value=8)
    groups = q.shape[1] // group
    scale = scale.to(torch.bfloat16)
    if whole:
        scale = scale.expand(-1, groups)
    scale = pad(scale, (0, groups - scale.shape[1], 0, rows))
    return (
        q,
        torch.stack((scale, torch.zeros_like(scale)), dim=2).transpose(0, 1).contiguous(),
        group,
    )
