"""Models whose folder holds all of their weights; what transformers would make up is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig

from workers.engine.data.model_files import numbers_stored
from workers.engine.errors import ModelError

LOCAL = {"local_files_only": True, "trust_remote_code": False}

# How transformers says no to a folder. A config.json with a size of 0, a list for a number or a
# name that nobody knows comes out of the model's own code, as whatever broke first there.
UNLOADABLE = (
    OSError, ValueError, LookupError, ImportError, RuntimeError, SafetensorError,
    StrictDataclassError, TypeError, AttributeError, ArithmeticError, AssertionError,
)  # fmt: skip


def refuse_hollow(auto: Any, folder: Path) -> None:
    """Raises ModelError for a folder with less than half of the weights of its config.json.

    transformers draws at random what a file lacks, and takes the memory of the whole model for it:
    this is known before.
    """
    with torch.device("meta"):
        described = auto.from_config(AutoConfig.from_pretrained(str(folder), **LOCAL))
    refuse_few(described, folder)


def refuse_few(described: nn.Module, folder: Path, *, packed: int = 1) -> None:
    """The same where the model is made already, on no device, and a number holds `packed` weights.

    Raises:
        ModelError: the folder has less than half of its weights.
    """
    needed = sum(p.numel() for p in described.parameters())
    stored = packed * numbers_stored(folder)
    if 2 * stored < needed and any(folder.glob("*.safetensors")):  # its own words without any
        raise ModelError(
            f"{folder.name} holds {stored:,} of the {needed:,} weights that its config.json "
            "describes: give both from the same model"
        )


def whole_load(auto: Any, folder: Path, *, spared: str = "", **named: Any) -> nn.Module:
    """`auto.from_pretrained` of a local folder, from safetensors alone, all of them there.

    Weights under `spared` (a name's beginning) may be missing.

    Raises:
        ModelError: weights are missing.
        UNLOADABLE: transformers cannot load it.
    """
    refuse_hollow(auto, folder)
    model, told = auto.from_pretrained(
        str(folder), use_safetensors=True, output_loading_info=True, **LOCAL, **named
    )
    drawn = sorted(told["missing_keys"])
    missing = [name for name in drawn if not (spared and name.startswith(spared))]
    if missing:
        raise ModelError(
            f"{folder.name} lacks {len(missing)} of its model's weights, {missing[0]} among them"
        )
    loaded: nn.Module = model
    return loaded
