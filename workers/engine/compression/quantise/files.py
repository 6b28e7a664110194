"""Quantised models and their files: compressed-tensors, as transformers and vLLM read it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.pytorch_utils import Conv1D

from workers.engine.compression.quantise.accelerated import accelerate
from workers.engine.compression.quantise.formats import FORMS, Format, form_of
from workers.engine.compression.quantise.linear import (
    QuantisedLinear,
    layers_quantise,
    weight_of,
)
from workers.engine.compression.unstructured import mask_names
from workers.engine.errors import ModelError
from workers.engine.whole import UNLOADABLE, refuse_few

METHOD = "compressed-tensors"
SCALE = "weight_scale"
SHAPE = "weight_shape"
ALL = "Linear"  # what the file format calls every layer that is not ignored
MOST_PACKED = 8  # weights in a number of a file: int4 in a word


def quantise_model(model: nn.Module, kind: str) -> None:
    """Replace every linear layer but the output head, in place, and note it in the configuration.

    `kind` is one of `specs.FORMATS`, but "none".
    """
    linear = [name for name, m in model.named_modules() if isinstance(m, (nn.Linear, Conv1D))]
    layers_quantise(model, kind)
    rounded = {n: m.form for n, m in model.named_modules() if isinstance(m, QuantisedLinear)}
    note = _description(rounded, ignore=[name for name in linear if name not in rounded])
    if hasattr(model, "config"):
        cast("Any", model).config.quantization_config = note
    else:
        cast("Any", model).quantisation = note


def _description(rounded: Mapping[str, Format], ignore: Iterable[str]) -> dict[str, Any]:
    """The file format's own description: a group of layers for each form, by name if several."""
    forms = list(dict.fromkeys(rounded.values()))
    alike = {form: [name for name, each in rounded.items() if each == form] for form in forms}
    groups = {
        f"group_{number}": {"targets": [ALL] if len(forms) == 1 else alike[form], **form.scheme()}
        for number, form in enumerate(forms)
    }
    return {
        "quant_method": METHOD,
        "format": forms[0].file_format,
        "quantization_status": "compressed",
        "ignore": list(ignore),
        "config_groups": groups,
    }


def quantised_config(folder: Path) -> Mapping[str, Any] | None:
    """How the model of a folder is quantised; None where it is not."""
    try:
        found = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None  # whoever loads it will say so
    config = found.get("quantization_config") if isinstance(found, dict) else None
    return config if isinstance(config, dict) else None


def plain_config(folder: Path, **more: Any) -> Any:
    """transformers' configuration of a quantised folder, without a word of that."""
    plain = AutoConfig.from_pretrained(str(folder), local_files_only=True, **more)
    del plain.quantization_config
    return plain


def quantised_load(
    folder: Path,
    config: Mapping[str, Any],
    build: Callable[[], nn.Module],
    device: str = "cpu",
) -> nn.Module:
    """A model that `quantise_model` made, loaded into what `build` makes of its plain shape.

    It is frozen, in evaluation mode, and on a GPU multiplies with torchao's kernels.

    Raises:
        ModelError: it is quantised in another way, or a file is damaged.
    """
    try:
        with torch.device("meta"):
            refuse_few(build(), folder, packed=MOST_PACKED)
        model = build()
        _make_room(folder, model, _forms(folder, config, mask_names(model)))
        tensors: dict[str, Tensor] = {}
        for path in sorted(folder.glob("*.safetensors")):
            tensors |= load_file(path)
        names = _names_on_disk(model)
        tensors = {names.get(name, name): tensor for name, tensor in tensors.items()}
        _make_match(folder, model, tensors)
        absent, surplus = model.load_state_dict(tensors, strict=False)
    except UNLOADABLE as error:
        raise ModelError(f"{folder.name} cannot be loaded ({error})") from error
    tied = {name for name in absent if name.startswith(("lm_head", "pooler"))}
    if surplus or set(absent) - tied:
        raise ModelError(f"{folder.name} lacks {sorted(absent)[:3]} or has {surplus[:3]} too many")
    if hasattr(model, "tie_weights"):
        model.tie_weights()  # type: ignore[operator]
    model = model.requires_grad_(requires_grad=False).eval().to(device)
    accelerate(model)
    return model


def _forms(folder: Path, config: Mapping[str, Any], names: Iterable[str]) -> dict[str, Format]:
    """The format of each of the named layers that the description means. Raises ModelError."""
    targets: dict[str, Format] = {}
    groups = config.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        form = form_of(config.get("format"), group)
        if form is None:
            targets.clear()
            break
        targets |= dict.fromkeys(map(str, group.get("targets") or ()), form)
    if config.get("quant_method") != METHOD or not targets:
        raise ModelError(
            f"{folder.name} is quantised as {config.get('quant_method')!r} "
            f"({config.get('format')!r}) in a way that does not run here; what does is "
            f"{METHOD} as {', '.join(FORMS)}: symmetric, without an order of its own."
        )
    left = set(map(str, config.get("ignore") or ()))
    found = {name: targets.get(name) or targets.get(ALL) for name in names if name not in left}
    return {name: form for name, form in found.items() if form is not None}


def _make_room(folder: Path, model: nn.Module, forms: Mapping[str, Format]) -> None:
    """Put empty layers of their forms where the description has them. Raises ModelError."""
    for name, form in forms.items():
        module = model.get_submodule(name)
        inputs = weight_of(module).shape[1]
        if form.group and inputs % form.group:
            raise ModelError(
                f"{folder.name} is quantised in groups of {form.group} inputs, which do not divide "
                f"the {inputs} of its layer {name}: its config.json belongs to other weights"
            )
        model.set_submodule(name, QuantisedLinear.empty(module, form))


def _make_match(folder: Path, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Take scales in the type that they come in, and refuse other numbers than are described.

    Loading would turn one type's numbers into another's without a word. Raises ModelError.
    """
    for layer, module in model.named_modules():
        for name, room in module.stored.items() if isinstance(module, QuantisedLinear) else ():
            found = tensors.get(f"{layer}.{name}")
            if found is None:
                continue  # `load_state_dict` will say so
            is_scale = name == SCALE and found.dtype.is_floating_point and found.itemsize > 1
            if found.shape != room.shape or not (is_scale or found.dtype == room.dtype):
                raise ModelError(
                    f"{folder.name} has {layer}.{name} as {_said(found)}, where its config.json "
                    f"means {_said(room)}: the files do not belong together"
                )
            _check_values(folder, f"{layer}.{name}", found, module)
            if is_scale:
                setattr(module, name, room.to(found.dtype))


def _check_values(folder: Path, name: str, found: Tensor, module: QuantisedLinear) -> None:
    """Refuse what is no number, and sizes of another weight. Raises ModelError."""
    if found.is_floating_point() and _is_broken(found):
        raise ModelError(f"{folder.name} is damaged: not all of {name} are numbers")
    shape = [module.outputs, module.inputs]
    if name.endswith(f".{SHAPE}") and found.tolist() != shape:
        raise ModelError(
            f"{folder.name} has {found.tolist()} as {name}, where its config.json means {shape}: "
            "the files do not belong together"
        )


def _is_broken(tensor: Tensor) -> bool:
    """Whether not all are numbers; e4m3 has no infinity."""
    wrong = tensor.isnan() if tensor.itemsize == 1 else ~tensor.isfinite()
    return bool(wrong.any())


def _said(tensor: Tensor) -> str:
    return f"{tensor.dtype} of {list(tensor.shape)}"


def _names_on_disk(model: nn.Module) -> dict[str, str]:
    """What transformers calls each tensor in its files, where that is not its name in the model."""
    if not isinstance(model, PreTrainedModel):
        return {}
    names = list(model.state_dict())
    numbered = {name: torch.tensor(number) for number, name in enumerate(names)}
    saved = revert_weight_conversion(model, numbered)  # as `save_pretrained` does
    return {name: names[int(number)] for name, number in saved.items()}
