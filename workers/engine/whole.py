"""Models whose folder holds all of their weights; what transformers would make up is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig

from workers.engine.data.model_files import numbers_stored
from workers.engine.errors import ModelError


def whole_load(auto: Any, folder: Path, *, spared: str = "", **named: Any) -> nn.Module:
    """`auto.from_pretrained` of a local folder, from safetensors alone, all of them there.

    transformers draws at random what a file lacks, and needs the memory of the whole model for it:
    a folder that holds less than half of what its config.json describes is refused before that.
    Weights under `spared` (a name's beginning) may be missing.

    Raises:
        ModelError: weights are missing.
        OSError, ValueError, KeyError, ImportError, RuntimeError: transformers cannot load it.
    """
    local = {"local_files_only": True, "trust_remote_code": False}
    with torch.device("meta"):
        described = auto.from_config(AutoConfig.from_pretrained(str(folder), **local))
    needed, stored = sum(p.numel() for p in described.parameters()), numbers_stored(folder)
    if 2 * stored < needed:
        raise ModelError(
            f"{folder.name} holds {stored:,} of the {needed:,} weights that its config.json "
            "describes: give both from the same model"
        )
    model, told = auto.from_pretrained(
        str(folder), use_safetensors=True, output_loading_info=True, **local, **named
    )
    drawn = sorted(told["missing_keys"])
    missing = [name for name in drawn if not (spared and name.startswith(spared))]
    if missing:
        raise ModelError(
            f"{folder.name} lacks {len(missing)} of its model's weights, {missing[0]} among them"
        )
    loaded: nn.Module = model
    return loaded
