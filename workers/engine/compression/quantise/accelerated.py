"""On a GPU: the stored numbers as torchao's tensors (https://github.com/pytorch/ao).

Its products take them as they are, in the card's own int8, fp8 and int4 arithmetic. Where the card,
a shape or a kernel refuses, a layer goes on by turning its weight back, and the reason is told.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from workers.engine.compression.quantise.formats import GROUPS, Format
from workers.engine.compression.quantise.linear import QuantisedLinear, RoundedLinear

PACKAGE = "torchao"
TRIED_ROWS = (1, 32)  # a decoding step, and a pass
FEWEST_INT8_ROWS = 17  # cuBLAS multiplies integers from here on
AGREES = 0.05  # share by which a product may be off: a wrong layout is off by more than half
LEAST = 1e-12  # of a token's largest activation: one of zeros would divide by zero
INNER, TILE, PADDED = 8, 8, 1024  # of tinygemm's layout: k-tiles inside, rows and inputs in all
WHOLE_ROW = 128  # the group by which a scale of a whole row is repeated

_log = logging.getLogger(__name__)


class AcceleratedLinear(RoundedLinear):
    """The weight as a tensor of torchao's, whose `linear` runs the kernel."""

    weight: Tensor

    def __init__(self, layer: QuantisedLinear, weight: Tensor) -> None:
        super().__init__(layer.form, (layer.outputs, layer.inputs), layer.bias, layer.dtype)
        self.register_buffer("weight", weight, persistent=False)
        self._fewest = FEWEST_INT8_ROWS if layer.form.name == "int8_dynamic" else 1

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        rows = x.reshape(-1, self.inputs)
        more = max(0, self._fewest - len(rows))
        out = linear(pad(rows, (0, 0, 0, more)) if more else rows, self.weight, self.bias)
        return out[: len(rows)].view(*x.shape[:-1], self.outputs)


def accelerate(model: nn.Module) -> dict[str, int]:
    """Let torchao multiply for the quantised layers that are on a GPU, in place.

    Returns how many go on as they were, by the reason, which is logged too.
    """
    kept: Counter[str] = Counter()
    for name, layer in list(model.named_modules()):
        if isinstance(layer, QuantisedLinear) and _device(layer).type == "cuda":
            found = accelerated(layer, torch.cuda.get_device_capability(_device(layer)))
            if isinstance(found, str):
                kept[found] += 1
            else:
                model.set_submodule(name, found)
    for reason, count in kept.items():
        _log.warning("%d layers are multiplied by turning their weights back: %s", count, reason)
    return dict(kept)


def accelerated(layer: QuantisedLinear, capability: tuple[int, int]) -> AcceleratedLinear | str:
    """The layer with torchao's product, or why it cannot be had on a card of this capability.

    It is tried first: a kernel that fails, or that does not agree, is not used.
    """
    reason = refusal(layer.form, (layer.outputs, layer.inputs), layer.dtype, capability)
    if reason:
        return reason
    try:
        made = AcceleratedLinear(layer, TENSORS[layer.form.name](layer))
        apart = max(_apart(layer, made, rows) for rows in TRIED_ROWS)
    except (RuntimeError, AssertionError, ValueError, ImportError, NotImplementedError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"the kernel refused {layer.outputs} × {layer.inputs} ({lines[0]})"
    if not apart <= AGREES:
        return f"the kernel's product is off by {apart:.0%} for {layer.outputs} × {layer.inputs}"
    return made


def refusal(
    form: Format, shape: tuple[int, int], dtype: torch.dtype, capability: tuple[int, int]
) -> str:
    """Why a product cannot run on a card of this compute capability; empty where it can."""
    if find_spec(PACKAGE) is None:
        return f"{PACKAGE} is not installed; install breakwater[gpu]"
    wanted = NEEDS.get(form.name)
    if wanted is None:
        return ""
    if capability < wanted.capability:
        major, minor = wanted.capability
        return (
            f"{form.name} needs compute capability {major}.{minor}; this card has "
            f"{capability[0]}.{capability[1]}"
        )
    if wanted.dtype not in {None, dtype}:
        return f"{form.name} runs in {wanted.dtype} only; the model computes in {dtype}"
    if any(size % wanted.multiple for size in shape):
        return (
            f"{form.name} needs sizes in multiples of {wanted.multiple}; a layer is "
            f"{shape[0]} × {shape[1]}"
        )
    return ""


@dataclass(frozen=True)
class Need:
    """What a kernel wants: a card, a type of activations, sizes in multiples of something."""

    capability: tuple[int, int] = (0, 0)
    dtype: torch.dtype | None = None
    multiple: int = 1


NEEDS = {
    "int8_dynamic": Need(multiple=8),
    "float8_dynamic": Need((8, 9), torch.bfloat16, multiple=16),
    "int4_weight": Need((8, 0), torch.bfloat16),
}


def _int8(layer: QuantisedLinear) -> Tensor:
    from torchao.quantization import Int8Tensor, PerRow
    from torchao.quantization.quantize_.workflows import QuantizeTensorToInt8Kwargs

    numbers, scale = layer.form.numbers(layer.stored, layer.inputs)
    tokens = QuantizeTensorToInt8Kwargs(granularity=PerRow()) if layer.form.dynamic else None
    block = [1, layer.inputs]
    found: Tensor = Int8Tensor(numbers, scale, block, layer.dtype, act_quant_kwargs=tokens)
    return found


def _float8(layer: QuantisedLinear) -> Tensor:
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
        scale,
        block_size=[1, layer.inputs],
        mm_config=Float8MMConfig(use_fast_accum=True),
        act_quant_kwargs=tokens if layer.form.dynamic else None,
        kernel_preference=torchs,
        dtype=layer.dtype,
    )
    return found


def _int4(layer: QuantisedLinear) -> Tensor:
    from torchao.quantization import Int4TilePackedTo4dTensor

    numbers, scales, group = tinygemm(layer)
    pairs = (numbers[:, ::2] << 4 | numbers[:, 1::2]).contiguous()
    tiles = torch.ops.aten._convert_weight_to_int4pack(pairs, INNER)  # noqa: SLF001
    shape = torch.Size((layer.outputs, layer.inputs))
    found: Tensor = Int4TilePackedTo4dTensor(tiles, scales, [1, group], shape)
    return found


TENSORS: dict[str, Callable[[QuantisedLinear], Tensor]] = {
    "int8_weight": _int8,
    "int8_dynamic": _int8,
    "float8_weight": _float8,
    "float8_dynamic": _float8,
    "int4_weight": _int4,
}


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
    if whole:
        scale = scale.expand(-1, groups)
    scale = pad(scale, (0, groups - scale.shape[1], 0, rows))
    return (
        q,
        torch.stack((scale, torch.zeros_like(scale)), dim=2).transpose(0, 1).contiguous(),
        group,
    )


def _apart(layer: nn.Module, made: AcceleratedLinear, rows: int) -> float:
    """How far two layers' products are apart, as a share."""
    device = made.weight.device
    draws = torch.Generator(device).manual_seed(0)
    x = torch.randn(rows, made.inputs, generator=draws, device=device).to(made.dtype)
    with torch.no_grad():
        expected = layer(x).float()
        return float((made(x).float() - expected).norm() / expected.norm().clamp_min(LEAST))


def _device(layer: RoundedLinear) -> torch.device:
    return next(layer.buffers()).device
