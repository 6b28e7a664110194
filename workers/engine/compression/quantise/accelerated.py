"""On a GPU: the stored numbers multiplied by the card's own int8, fp8 and int4.

The kernels are torchao's (https://github.com/pytorch/ao), and cuBLAS' for integers. Dynamic formats
and int4 are multiplied as they are stored; for int8 and e4m3 of weights alone torchao itself turns
them into the activations' type at each product, which saves bytes, not time. Where the card, a size
or a kernel refuses, a layer goes on by turning its weight back, and the reason is told.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from workers.engine.compression.quantise.formats import Format, integer_product
from workers.engine.compression.quantise.linear import QuantisedLinear, RoundedLinear
from workers.engine.compression.quantise.tensors import (
    LEAST,
    float8_tensor,
    int4_tensor,
    int8_tensor,
)

PACKAGE = "torchao"
TRIED_ROWS = (1, 32)  # a decoding step, and a pass
AGREES = 0.05  # share by which a product may be off: a wrong layout is off by more than half

# how kernels, and torchao in another version, say no
REFUSALS = (RuntimeError, AssertionError, ValueError, TypeError, AttributeError, ImportError)

_log = logging.getLogger(__name__)


class AcceleratedLinear(RoundedLinear, ABC):
    """A weight in the form that a kernel takes."""

    weight: Tensor
    fewest = 1  # rows that the kernel takes

    def __init__(self, layer: QuantisedLinear, weight: Tensor) -> None:
        super().__init__(layer.form, (layer.outputs, layer.inputs), layer.bias, layer.dtype)
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        rows = x.reshape(-1, self.inputs)
        more = max(0, self.fewest - len(rows))
        out = self.product(pad(rows, (0, 0, 0, more)) if more else rows)
        return out[: len(rows)].view(*x.shape[:-1], self.outputs)

    @abstractmethod
    def product(self, rows: Tensor) -> Tensor:
        """(rows, in) to (rows, out)."""


class TorchaoLinear(AcceleratedLinear):
    """By a tensor of torchao's."""

    def product(self, rows: Tensor) -> Tensor:
        return linear(rows, self.weight, self.bias)


class IntegerLinear(AcceleratedLinear):
    """int8 by cuBLAS.

    On its way there torchao 0.18 writes each input out as text where nothing is compiled, which
    waits for the card.
    """

    scale: Tensor
    fewest = 17  # fewer rows are no matrix to cuBLAS

    def __init__(self, layer: QuantisedLinear) -> None:
        super().__init__(layer, layer.stored["weight"])
        self.register_buffer("scale", layer.stored["weight_scale"], persistent=False)

    def product(self, rows: Tensor) -> Tensor:
        return integer_product(rows, self.weight, self.scale, self.bias)


def accelerate(model: nn.Module) -> dict[str, int]:
    """Let kernels multiply for the quantised layers that are on a GPU, in place.

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
    """The layer with a kernel's product, or why it cannot be had on a card of this capability.

    It is tried first: a kernel that fails, or that does not agree, is not used.
    """
    reason = refusal(layer.form, (layer.outputs, layer.inputs), layer.dtype, capability)
    if reason:
        return reason
    try:
        made = KERNELS[layer.form.name](layer)
        apart = max(_apart(layer, made, rows) for rows in TRIED_ROWS)
    except REFUSALS as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"the kernel refused {layer.outputs} × {layer.inputs} ({lines[0]})"
    if not apart <= AGREES:
        return f"the kernel's product is off by {apart:.0%} for {layer.outputs} × {layer.inputs}"
    return made


def refusal(
    form: Format, shape: tuple[int, int], dtype: torch.dtype, capability: tuple[int, int]
) -> str:
    """Why a product cannot run on a card of this compute capability; empty where it can."""
    if form.name != "int8_dynamic" and find_spec(PACKAGE) is None:
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
KERNELS: dict[str, Callable[[QuantisedLinear], AcceleratedLinear]] = {
    "int8_weight": lambda layer: TorchaoLinear(layer, int8_tensor(layer)),
    "int8_dynamic": IntegerLinear,
    "float8_weight": lambda layer: TorchaoLinear(layer, float8_tensor(layer)),
    "float8_dynamic": lambda layer: TorchaoLinear(layer, float8_tensor(layer)),
    "int4_weight": lambda layer: TorchaoLinear(layer, int4_tensor(layer)),
}


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
