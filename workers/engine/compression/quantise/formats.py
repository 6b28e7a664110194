"""The formats of quantised weights: how each is stored, described, and multiplied with.

All are of the file format compressed-tensors (https://github.com/vllm-project/compressed-tensors),
which transformers and vLLM read. int8 and e4m3 have a scale for each output row, int4 one for each
group of inputs. A dynamic format rounds activations too, with a scale for each token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import linear

from workers.engine.compression.quantise.numbers import (
    INT8_LIMIT,
    float8_rows,
    int4_groups,
    int8_rows,
    packed,
    restored,
    unpacked,
)

Stored = Mapping[str, Tensor]  # by the names that the file format has for them
GROUPS = (128, 64, 32)  # inputs with a scale of their own, as kernels know them


class Format(ABC):
    """One format of a linear layer's weight (out, in)."""

    name: ClassVar[str]
    file_format: ClassVar[str]  # compressed-tensors' name of the layout
    bits: ClassVar[int] = 8
    number: ClassVar[str] = "int"
    dynamic: ClassVar[bool] = False
    group: int = 0  # inputs with a scale of their own; 0 = the whole row
    names: ClassVar[tuple[str, ...]] = ("weight", "weight_scale")

    def fit(self, inputs: int) -> Self:  # noqa: ARG002
        """This format as it suits a layer of so many inputs."""
        return self

    @abstractmethod
    def store(self, weight: Tensor) -> dict[str, Tensor]:
        """A weight (out, in) as its file has it, by `names`."""

    @abstractmethod
    def numbers(self, stored: Stored, inputs: int) -> tuple[Tensor, Tensor]:
        """The rounded numbers (out, in) and their scales (out, groups)."""

    def restore(self, stored: Stored, inputs: int) -> Tensor:
        """The weight that is stored, (out, in) in fp32."""
        return restored(*self.numbers(stored, inputs))

    def seen(self, x: Tensor) -> Tensor:
        """Activations as a product sees them."""
        return x

    def multiply(self, x: Tensor, stored: Stored, bias: Tensor | None) -> Tensor:
        """(..., in) to (..., out), by turning the weight back."""
        return linear(self.seen(x), self.restore(stored, x.shape[-1]).to(x.dtype), bias)

    def scheme(self) -> dict[str, Any]:
        """The file format's description of weights and activations."""
        rounded = {"num_bits": self.bits, "type": self.number, "symmetric": True}
        inputs = {**rounded, "strategy": "token", "dynamic": True}
        return {
            "weights": {**rounded, **self._strategy(), "dynamic": False},
            "input_activations": inputs if self.dynamic else None,
            "output_activations": None,
        }

    def _strategy(self) -> dict[str, Any]:
        return {"strategy": "channel"}


class Int8Weight(Format):
    """int8 weights, four to a word; activations stay as they are."""

    name = "int8_weight"
    file_format = "pack-quantized"
    names = ("weight_packed", "weight_shape", "weight_scale")

    def store(self, weight: Tensor) -> dict[str, Tensor]:
        numbers, scale = int8_rows(weight)
        return _as_words(weight, numbers, scale, self.bits)

    def numbers(self, stored: Stored, inputs: int) -> tuple[Tensor, Tensor]:
        return unpacked(stored["weight_packed"], self.bits, inputs), stored["weight_scale"]


class Int8Dynamic(Format):
    """int8 weights and activations, multiplied in integers where the device does that exactly."""

    name = "int8_dynamic"
    file_format = "int-quantized"
    dynamic = True

    def store(self, weight: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.names, int8_rows(weight), strict=True))

    def numbers(self, stored: Stored, inputs: int) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return stored["weight"], stored["weight_scale"]

    def seen(self, x: Tensor) -> Tensor:
        return _there_and_back(x, *int8_rows(_rows(x)))

    def multiply(self, x: Tensor, stored: Stored, bias: Tensor | None) -> Tensor:
        if not _has_exact_int8(x.device.type):
            return super().multiply(x, stored, bias)
        out = integer_product(_rows(x), stored["weight"], stored["weight_scale"], bias)
        return out.view(*x.shape[:-1], -1)


def integer_product(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    """x (rows, in), rounded by rows, times weight (out, in) in int8; scales of it (out, 1)."""
    rows, x_scale = int8_rows(x)
    sums = torch._int_mm(rows, weight.t())  # noqa: SLF001 -- it has no other name
    out = sums.float().mul_(x_scale).mul_(scale.t()).to(x.dtype)  # whole sums overflow fp16
    return out if bias is None else out.add_(bias)


class Float8Weight(Format):
    """e4m3 weights; activations stay as they are."""

    name = "float8_weight"
    file_format = "float-quantized"
    number = "float"

    def store(self, weight: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.names, float8_rows(weight), strict=True))

    def numbers(self, stored: Stored, inputs: int) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        return stored["weight"], stored["weight_scale"]


class Float8Dynamic(Float8Weight):
    """e4m3 weights and activations."""

    name = "float8_dynamic"
    dynamic = True

    def seen(self, x: Tensor) -> Tensor:
        return _there_and_back(x, *float8_rows(_rows(x)))


@dataclass(frozen=True)
class Int4Weight(Format):
    """int4 weights, eight to a word, with a scale for `group` inputs; 0: for a whole row."""

    group: int = 0

    name = "int4_weight"
    file_format = "pack-quantized"
    bits = 4
    names = Int8Weight.names

    def fit(self, inputs: int) -> Self:
        """With the largest group that divides the inputs; a whole row where none does."""
        return type(self)(next((size for size in GROUPS if inputs % size == 0), 0))

    def store(self, weight: Tensor) -> dict[str, Tensor]:
        numbers, scale = int4_groups(weight, self.group or weight.shape[1])
        return _as_words(weight, numbers, scale, self.bits)

    def numbers(self, stored: Stored, inputs: int) -> tuple[Tensor, Tensor]:
        return unpacked(stored["weight_packed"], self.bits, inputs), stored["weight_scale"]

    def _strategy(self) -> dict[str, Any]:
        return (
            {"strategy": "group", "group_size": self.group} if self.group else super()._strategy()
        )


FORMS: Mapping[str, Format] = {
    form.name: form
    for form in (Int8Weight(), Int8Dynamic(), Float8Weight(), Float8Dynamic(), Int4Weight())
}


def form_of(file_format: Any, scheme: Any) -> Format | None:
    """The format that a file's description means; None where it is none of ours."""
    weights = scheme.get("weights") if isinstance(scheme, Mapping) else None
    size = weights.get("group_size") if isinstance(weights, Mapping) else None
    grouped = [Int4Weight(size)] if type(size) is int and size > 0 else []
    for form in (*FORMS.values(), *grouped):
        if form.file_format == file_format and _says(scheme, form.scheme()):
            return form
    return None


def _says(found: Any, wanted: Any) -> bool:
    """Whether a description has all that is `wanted`, and neither zero points nor an own order."""
    if not isinstance(wanted, Mapping):
        return bool(found == wanted)
    return (
        isinstance(found, Mapping)
        and all(_says(found.get(name), value) for name, value in wanted.items())
        and not found.get("actorder")
    )


def _as_words(weight: Tensor, numbers: Tensor, scale: Tensor, bits: int) -> dict[str, Tensor]:
    return {
        "weight_packed": packed(numbers, bits),
        "weight_shape": torch.tensor(weight.shape),
        "weight_scale": scale,
    }


def _rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])


def _there_and_back(x: Tensor, numbers: Tensor, scale: Tensor) -> Tensor:
    return restored(numbers, scale).to(x.dtype).view_as(x)


@cache
def _has_exact_int8(device: str) -> bool:
    """Whether integer products are exact here: some older CPUs saturate in between."""
    if device != "cpu":
        return False  # cuBLAS wants shapes that not all have: see `accelerated`
    extremes = torch.full((32, 64), INT8_LIMIT, dtype=torch.int8)
    sums = torch._int_mm(extremes, -extremes.t())  # noqa: SLF001
    return bool((sums == -64 * INT8_LIMIT * INT8_LIMIT).all())
