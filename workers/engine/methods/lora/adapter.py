"""A LoRA adapter on a model: put on, taken off, read and written in PEFT's file format."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workers.engine.checks import SpecError
from workers.engine.data.order import mix
from workers.engine.errors import AdapterError
from workers.engine.methods.lora.fits import adapted
from workers.engine.methods.lora.layer import (
    DoraLinear,
    DropoutClock,
    LoraLinear,
    LowRank,
    is_transposed,
    layer_sizes,
    row_lengths,
)
from workers.engine.models import linear_names
from workers.engine.specs import LoraSpec

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
MAGNITUDE = ".lora_magnitude_vector"
PARTS = {"A": ".lora_A.weight", "B": ".lora_B.weight", "m": MAGNITUDE}


@dataclass(frozen=True)
class Adapter:
    """A low-rank delta: for each linear layer's full name, A (rank, in) and B (out, rank).

    DoRA's has each layer's magnitudes (out,) besides.
    """

    spec: LoraSpec
    weights: Mapping[str, tuple[Tensor, Tensor]]
    magnitudes: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def scale(self) -> float:
        return self.spec.scale

    def row_factors(self, name: str, weight: Tensor) -> Tensor | None:
        """By what DoRA scales each row (out,) of W + s·B·A, for W (out, in); None for LoRA."""
        if name not in self.magnitudes:
            return None
        A, B = (part.float().to(weight.device) for part in self.weights[name])
        exact = weight.float()
        lengths = row_lengths(exact, exact.square().sum(1), A, B, self.scale)
        return self.magnitudes[name].float().to(weight.device) / lengths


def target_names(model: nn.Module, spec: LoraSpec) -> list[str]:
    """Full names of the layers to adapt. Raises SpecError where a wished one does not exist."""
    return adapted(linear_names(model), spec)


def layers_sizes(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Numbers out of and into each linear layer, by its full name."""
    return {name: layer_sizes(_own(model.get_submodule(name))) for name in linear_names(model)}


def fresh(model: nn.Module, spec: LoraSpec, clock: DropoutClock) -> dict[str, LowRank]:
    """New LoRA layers for `model`, by layer name, not put on it yet.

    A is uniform by Kaiming, B zero: they change nothing.
    """
    layers: dict[str, LowRank] = {}
    kind = DoraLinear if spec.use_dora else LoraLinear
    for number, name in enumerate(target_names(model, spec)):
        base = model.get_submodule(name)
        layer = kind(
            _own(base),
            rank=spec.rank,
            scale=spec.scale,
            dropout=spec.dropout,
            clock=clock,
            number=number,
        )
        _initialise(layer, mix(clock.seed, number))
        layers[name] = layer
    return layers


def _own(layer: nn.Module) -> nn.Module:
    """The model's own layer, where an adapter stands in for it."""
    found: nn.Module = getattr(layer, "base", layer)
    return found


def attach(model: nn.Module, layers: Mapping[str, LowRank]) -> None:
    """Put LoRA layers in the place of the model's own."""
    for name, layer in layers.items():
        model.set_submodule(name, layer)


def _initialise(layer: LowRank, seed: int) -> None:
    """PEFT's default: Kaiming uniform with a = √5, that is ±1/√in.

    Drawn on the CPU, so the same on every device.
    """
    bound = 1 / math.sqrt(layer.A.shape[1])
    generator = torch.Generator().manual_seed(seed >> 1)
    draws = torch.empty(layer.A.shape).uniform_(-bound, bound, generator=generator)
    with torch.no_grad():
        layer.A.copy_(draws)


def detach(model: nn.Module, layers: Mapping[str, LowRank]) -> None:
    """Give `model` its own layers back."""
    for name, layer in layers.items():
        model.set_submodule(name, layer.base)


def load_into(layers: Mapping[str, LowRank], adapter: Adapter) -> None:
    """Copy an earlier adapter's weights into fresh layers.

    Raises:
        AdapterError: its layers or shapes differ.
    """
    if set(layers) != set(adapter.weights):
        odd = sorted(set(layers) ^ set(adapter.weights))[:3]
        raise AdapterError(
            f"the adapter does not fit this base model: layers differ ({', '.join(odd)} …)"
        )
    with torch.no_grad():
        for name, layer in layers.items():
            A, B = adapter.weights[name]
            _check_shape(name, A, layer.A)
            _check_shape(name, B, layer.B)
            layer.A.copy_(A)
            layer.B.copy_(B)
            if isinstance(layer, DoraLinear):
                _check_shape(name, adapter.magnitudes[name], layer.m)
                layer.m.copy_(adapter.magnitudes[name])


def _check_shape(name: str, given: Tensor, wanted: Tensor) -> None:
    if given.shape != wanted.shape:
        raise AdapterError(
            f"the adapter does not fit this base model: {name} is {tuple(given.shape)}, "
            f"not {tuple(wanted.shape)}"
        )


def adapter_save(
    folder: Path,
    model: nn.Module,
    layers: Mapping[str, LowRank],
    weights: Mapping[str, Tensor],
    spec: LoraSpec,
    base_name: str,
) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors` as PEFT does.

    `weights` are those of `layers`, by the layer's name and A, B or m.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, tensor in weights.items():
        layer, _, part = name.rpartition(".")
        tensors[f"{PREFIX}{layer}{PARTS[part]}"] = tensor.detach().cpu().contiguous()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_name,
        "r": spec.rank,
        "lora_alpha": spec.alpha,
        "lora_dropout": spec.dropout,
        "target_modules": _peft_targets(model, spec),
        "bias": "none",
        "fan_in_fan_out": any(is_transposed(layer.base) for layer in layers.values()),
        "init_lora_weights": True,
        "inference_mode": True,
        "use_rslora": spec.use_rslora,
        "use_dora": spec.use_dora,
        "modules_to_save": None,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True))


def _peft_targets(model: nn.Module, spec: LoraSpec) -> list[str]:
    if spec.target_modules != "auto":
        return sorted(spec.target_modules)
    return sorted({name.rpartition(".")[2] for name in linear_names(model)})


def adapter_load(folder: Path) -> Adapter:
    """Read a LoRA adapter in PEFT format.

    Raises:
        AdapterError: a file is missing or unreadable, or the adapter uses what we do not (trained
            biases, ranks by layer …).
    """
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text())
        tensors = load_file(folder / WEIGHTS)
        spec = _spec_of(config)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, SpecError) as error:
        raise AdapterError(f"{folder.name} is no LoRA adapter in PEFT format ({error})") from error
    magnitudes = {
        key.removeprefix(PREFIX).removesuffix(MAGNITUDE): tensor
        for key, tensor in tensors.items()
        if key.endswith(MAGNITUDE)
    }
    rest = {key: tensor for key, tensor in tensors.items() if not key.endswith(MAGNITUDE)}
    weights = _pairs(rest, spec.rank)
    if set(magnitudes) != (set(weights) if spec.use_dora else set()):
        raise AdapterError(f"{folder.name} does not have a magnitude for each of DoRA's layers")
    return Adapter(spec, weights, magnitudes)


def _spec_of(config: Mapping[str, Any]) -> LoraSpec:
    if config.get("peft_type") != "LORA":
        raise ValueError(f"its type is {config.get('peft_type')!r}, not LORA")
    unknown = (
        "modules_to_save",
        "rank_pattern",
        "alpha_pattern",
        "layers_to_transform",
    )
    used = [name for name in unknown if config.get(name)]
    if used or config.get("bias", "none") != "none":
        raise ValueError(f"it uses {', '.join(used) or 'trained biases'}, which is not supported")
    targets = config["target_modules"]
    return LoraSpec(
        rank=config["r"],
        alpha=float(config["lora_alpha"]),
        target_modules=targets if targets == "auto" else tuple(sorted(targets)),
        dropout=float(config.get("lora_dropout") or 0.0),
        use_rslora=bool(config.get("use_rslora")),
        use_dora=bool(config.get("use_dora")),
    )


def _pairs(tensors: Mapping[str, Tensor], rank: int) -> dict[str, tuple[Tensor, Tensor]]:
    pairs: dict[str, tuple[Tensor, Tensor]] = {}
    for key, A in tensors.items():
        if not key.endswith(".lora_A.weight"):
            continue
        name = key.removeprefix(PREFIX).removesuffix(".lora_A.weight")
        B = tensors.get(key.replace(".lora_A.", ".lora_B."))
        if B is None or A.shape[0] != rank or B.shape[1] != rank:
            raise AdapterError(f"the adapter's layer {name} does not have rank {rank} throughout")
        pairs[name] = (A, B)
    if len(tensors) != 2 * len(pairs) or not pairs:
        raise AdapterError("the adapter holds other tensors than LoRA's A and B")
    return pairs
