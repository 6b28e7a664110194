"""int8 weights, one scale per output row, stored in the compressed-tensors format.

transformers (with the package compressed-tensors) and vLLM read it; our own runtime reads it here.
`int8_dynamic` also quantises each token's activations and multiplies in integers, which is what
makes it faster; `int8_weight` keeps activations as they are and saves bytes only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Self, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import linear, pad
from transformers import AutoConfig, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.pytorch_utils import Conv1D

from workers.engine.compression.graph import linear_dims
from workers.engine.compression.unstructured import mask_names
from workers.engine.errors import ModelError

LIMIT = 127  # symmetric: -128 is not used
PER_WORD, SIGN = 4, 128
METHOD = "compressed-tensors"


class Int8Linear(nn.Module):
    """y = x·(scale·W)ᵀ + b with W (out, in) in int8 and scale (out, 1).

    The buffers are those of the file format: W as it is for `int8_dynamic`, and four numbers to an
    int32 for `int8_weight`.
    """

    weight_scale: Tensor
    bias: Tensor | None

    def __init__(self, outputs: int, inputs: int, *, bias: bool, dynamic: bool) -> None:
        super().__init__()
        self.dynamic, self.inputs = dynamic, inputs
        if dynamic:
            self.register_buffer("weight", torch.zeros(outputs, inputs, dtype=torch.int8))
        else:
            words = -(-inputs // PER_WORD)
            self.register_buffer("weight_packed", torch.zeros(outputs, words, dtype=torch.int32))
            self.register_buffer("weight_shape", torch.tensor([outputs, inputs]))
        self.register_buffer("weight_scale", torch.ones(outputs, 1))
        self.register_buffer("bias", torch.zeros(outputs) if bias else None)

    @classmethod
    def of(cls, module: nn.Module, *, dynamic: bool) -> Self:
        """The quantised form of an `nn.Linear`, or of GPT-2's `Conv1D`."""
        stored = cast("Tensor", module.weight).detach()
        weight = stored if linear_dims(module) == (0, 1) else stored.t()
        bias = cast("Tensor | None", module.bias)
        made = cls(*weight.shape, bias=bias is not None, dynamic=dynamic)
        numbers, made.weight_scale = quantise_rows(weight)
        if dynamic:
            made.weight = numbers
        else:
            made.weight_packed = packed(numbers)
        if bias is not None:
            made.bias = bias.detach().clone()
        return made

    @property
    def numbers(self) -> Tensor:
        """W: (out, in), int8."""
        if self.dynamic:
            return cast("Tensor", self.weight)
        return unpacked(cast("Tensor", self.weight_packed), self.inputs)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        if not self.dynamic or not _has_exact_int8(x.device.type):
            return linear(x, self.numbers.to(x.dtype) * self.weight_scale.to(x.dtype), self.bias)
        rows, scale = quantise_rows(x.reshape(-1, x.shape[-1]))
        sums = torch._int_mm(rows, self.numbers.t())  # noqa: SLF001 -- it has no other name
        out = sums.to(x.dtype).mul_(scale.to(x.dtype)).mul_(self.weight_scale.t().to(x.dtype))
        if self.bias is not None:
            out += self.bias
        return out.view(*x.shape[:-1], -1)


def packed(numbers: Tensor) -> Tensor:
    """int8 (rows, n) as int32 (rows, ⌈n/4⌉): each number plus 128, as bytes, the first lowest."""
    room = -numbers.shape[1] % PER_WORD
    shifted = numbers.view(torch.uint8) ^ SIGN
    return pad(shifted, (0, room)).contiguous().view(torch.int32)


def unpacked(words: Tensor, inputs: int) -> Tensor:
    """What `packed` was given."""
    return (words.view(torch.uint8)[:, :inputs] ^ SIGN).view(torch.int8)


def quantise_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest int8 numbers and the scale (rows, 1) of each row of x (rows, n).

    x ≈ numbers · scale, each within half a scale.
    """
    scale = x.abs().amax(dim=1, keepdim=True).float().clamp_min_(torch.finfo(torch.float32).tiny)
    scale = scale / LIMIT
    return (x / scale).round_().to(torch.int8), scale


@cache
def _has_exact_int8(device: str) -> bool:
    """Whether integer products are exact here: some older CPUs saturate in between."""
    if device != "cpu":
        return False  # cuBLAS wants shapes that a decoding step does not have
    extremes = torch.full((32, 64), LIMIT, dtype=torch.int8)
    sums = torch._int_mm(extremes, -extremes.t())  # noqa: SLF001
    return bool((sums == -64 * LIMIT * LIMIT).all())


def numbers_of(model: nn.Module) -> int:
    """Weights, tied ones counted once, however they are stored."""
    total = sum(p.numel() for p in model.parameters())
    for module in model.modules():
        if isinstance(module, Int8Linear):
            total += module.numbers.numel() + (0 if module.bias is None else module.bias.numel())
    return total


def quantise_model(model: nn.Module, kind: str) -> None:
    """Replace every linear layer but the output head, in place, and note it in the configuration.

    `kind` is int8_weight or int8_dynamic.
    """
    dynamic = kind == "int8_dynamic"
    names = mask_names(model)
    linear = [name for name, m in model.named_modules() if isinstance(m, (nn.Linear, Conv1D))]
    for name in names:
        model.set_submodule(name, Int8Linear.of(model.get_submodule(name), dynamic=dynamic))
    note = _config(dynamic=dynamic, ignore=[name for name in linear if name not in names])
    if hasattr(model, "config"):
        cast("Any", model).config.quantization_config = note
    else:
        cast("Any", model).quantisation = note


def layer_errors(model: nn.Module, norms: Mapping[str, Tensor]) -> dict[str, float]:
    """Each layer's relative error from rounding its weights, weighed by its inputs' size.

    `norms` are the inputs' Euclidean norms (in,) over the calibration tokens.
    """
    errors = {}
    for name, norm in norms.items():
        module = model.get_submodule(name)
        stored = cast("Tensor", module.weight).detach()
        weight = stored if linear_dims(module) == (0, 1) else stored.t()
        rounded, scale = quantise_rows(weight)
        seen = norm.to(weight.dtype)
        wrong = ((rounded * scale - weight) * seen).norm()
        errors[name] = float(wrong / (weight * seen).norm().clamp_min(1e-30))
    return errors


def _config(*, dynamic: bool, ignore: Sequence[str] = ()) -> dict[str, Any]:
    """https://github.com/neuralmagic/compressed-tensors: the format's own description."""
    weights = {
        "num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel", "dynamic": False
    }  # fmt: skip
    inputs = weights | {"strategy": "token", "dynamic": True}
    group = {
        "targets": ["Linear"],
        "weights": weights,
        "input_activations": inputs if dynamic else None,
        "output_activations": None,
    }
    return {
        "quant_method": METHOD,
        "format": "int-quantized" if dynamic else "pack-quantized",
        "quantization_status": "compressed",
        "ignore": list(ignore),
        "config_groups": {"group_0": group},
    }


def quantised_config(folder: Path) -> Mapping[str, Any] | None:
    """How the model of a folder is quantised; None where it is not."""
    try:
        found = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None  # whoever loads it will say so
    config = found.get("quantization_config") if isinstance(found, dict) else None
    return config if isinstance(config, dict) else None


def quantised_load(
    folder: Path, config: Mapping[str, Any], build: Callable[[], nn.Module]
) -> nn.Module:
    """A model that `quantise_model` made, loaded into what `build` makes of its plain shape.

    Raises:
        ModelError: it is quantised in another way, or a file is damaged.
    """
    kinds = [_config(dynamic=True), _config(dynamic=False)]
    if config.get("format") not in {kind["format"] for kind in kinds}:
        raise ModelError(
            f"{folder.name} is quantised as {config.get('quant_method')!r} "
            f"({config.get('format')!r}); int8 per channel is what runs here."
        )
    try:
        model = build()
        _make_room(model, dynamic=config["format"] == kinds[0]["format"])
        tensors: dict[str, Tensor] = {}
        for path in sorted(folder.glob("*.safetensors")):
            tensors |= load_file(path)
        names = _names_on_disk(model)
        tensors = {names.get(name, name): tensor for name, tensor in tensors.items()}
        absent, surplus = model.load_state_dict(tensors, strict=False)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder.name} cannot be loaded ({error})") from error
    tied = {name for name in absent if name.startswith(("lm_head", "pooler"))}
    if surplus or set(absent) - tied:
        raise ModelError(f"{folder.name} lacks {sorted(absent)[:3]} or has {surplus[:3]} too many")
    if hasattr(model, "tie_weights"):
        model.tie_weights()  # type: ignore[operator]
    return model


def plain_config(folder: Path, **more: Any) -> Any:
    """transformers' configuration of a quantised folder, without a word of that."""
    plain = AutoConfig.from_pretrained(str(folder), local_files_only=True, **more)
    del plain.quantization_config
    return plain


def _names_on_disk(model: nn.Module) -> dict[str, str]:
    """What transformers calls each tensor in its files, where that is not its name in the model."""
    if not isinstance(model, PreTrainedModel):
        return {}
    names = list(model.state_dict())
    numbered = {name: torch.tensor(number) for number, name in enumerate(names)}
    saved = revert_weight_conversion(model, numbered)  # as `save_pretrained` does
    return {name: names[int(number)] for name, number in saved.items()}


def _make_room(model: nn.Module, *, dynamic: bool) -> None:
    for name in mask_names(model):
        module = model.get_submodule(name)
        assert isinstance(module, (nn.Linear, Conv1D))  # noqa: S101 -- what `mask_names` lists
        out, inputs = (module.weight.shape[dim] for dim in linear_dims(module))
        bias = module.bias is not None
        model.set_submodule(name, Int8Linear(out, inputs, bias=bias, dynamic=dynamic))
