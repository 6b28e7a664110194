"""Linear layers whose weights are rounded, and models that are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self, cast

import torch
from torch import Tensor, nn

from workers.engine.compression.graph import linear_dims
from workers.engine.compression.quantise.formats import FORMS, Format
from workers.engine.compression.unstructured import mask_names


class RoundedLinear(nn.Module):
    """y = x·Wᵀ + b with a W (out, in) of few bits, as `form` has it; `dtype` is what x comes in."""

    bias: Tensor | None

    def __init__(
        self, form: Format, shape: tuple[int, int], bias: Tensor | None, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.form, self.dtype = form, dtype
        self.outputs, self.inputs = shape
        self.register_buffer("bias", bias)


class QuantisedLinear(RoundedLinear):
    """The weight as its file has it: the buffers are the format's own."""

    def __init__(
        self,
        form: Format,
        shape: tuple[int, int],
        stored: Mapping[str, Tensor],
        bias: Tensor | None,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(form, shape, bias, dtype)
        for name in form.names:
            self.register_buffer(name, stored[name])

    @classmethod
    def of(cls, module: nn.Module, form: Format) -> Self:
        """The quantised form of an `nn.Linear`, or of GPT-2's `Conv1D`."""
        weight, bias = weight_of(module), cast("Tensor | None", module.bias)
        kept = None if bias is None else bias.detach().clone()
        return cls(form, _shape(weight), form.store(weight), kept, weight.dtype)

    @classmethod
    def empty(cls, module: nn.Module, form: Format) -> Self:
        """Room for the quantised form of a layer, to be filled from a file."""
        weight, bias = weight_of(module), cast("Tensor | None", module.bias)
        stored = {
            name: torch.empty_like(tensor, device=weight.device)
            for name, tensor in form.store(weight.to("meta")).items()
        }
        room = None if bias is None else torch.empty_like(bias)
        return cls(form, _shape(weight), stored, room, weight.dtype)

    @property
    def stored(self) -> dict[str, Tensor]:
        """The buffers of the weight, by the file format's names."""
        return {name: cast("Tensor", getattr(self, name)) for name in self.form.names}

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        return self.form.multiply(x, self.stored, self.bias)


def weight_of(module: nn.Module) -> Tensor:
    """The weight of an `nn.Linear` or a `Conv1D`, (out, in)."""
    stored = cast("Tensor", module.weight).detach()
    return stored if linear_dims(module) == (0, 1) else stored.t()


def _shape(weight: Tensor) -> tuple[int, int]:
    return weight.shape[0], weight.shape[1]


def numbers_of(model: nn.Module) -> int:
    """Weights, tied ones counted once, however they are stored."""
    total = sum(p.numel() for p in model.parameters())
    for module in model.modules():
        if isinstance(module, RoundedLinear):
            total += module.outputs * module.inputs
            total += 0 if module.bias is None else module.bias.numel()
    return total


def layers_quantise(model: nn.Module, kind: str) -> None:
    """Replace every linear layer but the output head, in place."""
    for name in mask_names(model):
        module = model.get_submodule(name)
        form = FORMS[kind].fit(weight_of(module).shape[1])
        model.set_submodule(name, QuantisedLinear.of(module, form))


def layer_errors(model: nn.Module, norms: Mapping[str, Tensor], kind: str) -> dict[str, float]:
    """Each layer's relative error from rounding its weights, weighed by its inputs' size.

    `norms` are the inputs' Euclidean norms (in,) over the calibration tokens. What a dynamic format
    rounds of the activations comes on top.
    """
    errors = {}
    for name, norm in norms.items():
        weight = weight_of(model.get_submodule(name)).float()
        form = FORMS[kind].fit(weight.shape[1])
        seen = norm.float()
        wrong = (form.restore(form.store(weight), weight.shape[1]) - weight) * seen
        errors[name] = float(wrong.norm() / (weight * seen).norm().clamp_min(1e-30))
    return errors
