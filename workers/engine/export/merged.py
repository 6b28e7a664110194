"""An adapter folded into its base: W ← W + s·B·A, of DoRA with each row scaled.

Computed in fp32, then cast; the rounding is reported.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from workers.engine.errors import AdapterError
from workers.engine.export.huggingface import folder_save
from workers.engine.methods.lora.adapter import Adapter, adapter_load
from workers.engine.methods.lora.layer import frozen_weight
from workers.engine.models import linear_names, model_load


def merge_into(model: nn.Module, adapter: Adapter) -> float:
    """Add `adapter` to the weights of `model`, in place.

    Returns:
        The drift: the largest relative error, over layers, of casting the fp32 sum to the dtype of
        the model.

    Raises:
        AdapterError: the adapter does not fit.
    """
    names = set(linear_names(model))
    drift = 0.0
    with torch.no_grad():
        for name, (A, B) in adapter.weights.items():
            if name not in names:
                raise AdapterError(
                    f"the adapter does not fit this base model: there is no layer {name}"
                )
            module = model.get_submodule(name)
            weight: torch.Tensor = module.weight  # type: ignore[assignment]
            delta = (B.float() @ A.float()) * adapter.scale
            factors = adapter.row_factors(name, frozen_weight(module)[0])
            delta = delta.t() if isinstance(module, Conv1D) else delta
            if delta.shape != weight.shape:
                raise AdapterError(
                    f"the adapter does not fit this base model: {name} is {tuple(weight.shape)}"
                )
            whole = weight.float() + delta.to(weight.device)
            if factors is not None:
                whole = whole * (factors if isinstance(module, Conv1D) else factors[:, None])
            weight.copy_(whole)
            drift = max(drift, ((weight.float() - whole).norm() / whole.norm()).item())
    return drift


def merged_save(folder: Path, base: Path, adapter: Path, *, dtype: str = "float32") -> float:
    """Write base and adapter as one Hugging Face folder in `dtype`; returns the drift.

    See `merge_into` for what that is.
    """
    model = model_load(base, dtype=dtype)
    drift = merge_into(model, adapter_load(adapter))
    folder_save(folder, model, base)
    return drift
