"""Single weights set to zero: by share, by threshold, or two of each four.

The tensors keep their shapes: nothing is faster, and nothing smaller until it is compressed by
other means. Only 2:4 on GPUs with sparse tensor cores can gain, through kernels of their own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor, nn

from workers.engine.checks import SpecError
from workers.engine.compression.graph import linear_dims
from workers.engine.compression.specs import MaskSpec
from workers.engine.models import linear_names

MASKS = "masks/masks.safetensors"  # in a folder of its own: no part of the model's weights


def mask_of(weight: Tensor, spec: MaskSpec, input_norms: Tensor | None = None) -> Tensor:
    """Which weights stay, as booleans.

    Args:
        weight: (out, in).
        input_norms: (in,), for the scorer "wanda", which ranks within each output.

    Raises:
        SpecError: the shape does not fit the pattern.
    """
    scores = weight.abs().double()
    if input_norms is not None:
        scores = scores * input_norms.double()
    if spec.pattern == "2:4":
        return _two_of_four(scores)
    if spec.threshold:
        return weight.abs() >= spec.threshold
    return _share(scores, spec.ratio, by_row=input_norms is not None)


def _share(scores: Tensor, ratio: float, *, by_row: bool) -> Tensor:
    """All but the lowest `ratio` of the scores, within the layer or within each output."""
    rows = scores if by_row else scores.reshape(1, -1)
    gone = round(rows.shape[1] * ratio)
    mask = torch.ones_like(rows, dtype=torch.bool)
    mask.scatter_(1, rows.argsort(dim=1, stable=True)[:, :gone], value=False)
    return mask.reshape(scores.shape)


def _two_of_four(scores: Tensor) -> Tensor:
    if scores.shape[1] % 4:
        raise SpecError(
            "mask.pattern", f"2:4 wants inputs in fours; a layer here has {scores.shape[1]}."
        )
    fours = scores.reshape(scores.shape[0], -1, 4)
    best = fours.argsort(dim=2, descending=True, stable=True)[..., :2]
    mask = torch.zeros_like(fours, dtype=torch.bool)
    return mask.scatter_(2, best, value=True).reshape(scores.shape)


def mask_model(
    model: nn.Module, spec: MaskSpec, norms: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Zero the masked weights of all linear layers in place; returns the masks by tensor name."""
    masks = {}
    for name in mask_names(model):
        module = model.get_submodule(name)
        weight = cast("Tensor", module.weight)
        stored = linear_dims(module) == (0, 1)
        plain = weight.data if stored else weight.data.t()
        mask = mask_of(plain, spec, None if norms is None else norms[name])
        plain.mul_(mask)
        masks[f"{name}.weight"] = (mask if stored else mask.t()).contiguous()
    return masks


def masks_save(folder: Path, masks: Mapping[str, Tensor]) -> None:
    """Keep masks beside a model, a bit a weight, so that later training can hold them."""
    path = folder / MASKS
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = {name: np.packbits(mask.cpu().numpy()) for name, mask in masks.items()}
    shapes = {name: json.dumps(list(mask.shape)) for name, mask in masks.items()}
    save_file(packed, path, metadata=shapes)


def masks_load(folder: Path) -> dict[str, Tensor]:
    """What `masks_save` wrote: by tensor name, booleans, False where a weight is zero."""
    found = {}
    with safe_open(folder / MASKS, framework="np") as stored:
        for name, shape in (stored.metadata() or {}).items():
            sizes = json.loads(shape)
            bits = np.unpackbits(stored.get_tensor(name), count=math.prod(sizes))
            found[name] = torch.from_numpy(bits.astype(bool)).reshape(sizes)
    return found


def mask_names(model: nn.Module) -> list[str]:
    """The layers that masks are for: all linear ones but a transformer's output head."""
    if hasattr(model, "get_output_embeddings"):
        return linear_names(model)
    return [name for name, m in model.named_modules() if isinstance(m, nn.Linear)]
