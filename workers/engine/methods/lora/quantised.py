"""The base of QLoRA: the layers that adapters stand on in NF4, the rest as it is.

Source: Dettmers et al. 2023, "QLoRA" (arXiv:2305.14314).
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from workers.engine.compression.quantise.files import quantised_config
from workers.engine.errors import ModelError
from workers.engine.kernels.nf4_linear import Nf4Linear
from workers.engine.models import linear_names, model_load
from workers.engine.stored import Files, unfilled


def nf4_load(folder: Path, *, dtype: str, device: str) -> nn.Module:
    """The model of `models.model_load`, its blocks' linear layers in NF4.

    Layer by layer, so that no more than one is ever whole; where the folder has other names for
    them than the model, all are whole once in the processor's memory, though not on `device`.

    Raises:
        ModelError: the base is quantised already, or cannot be loaded.
    """
    if quantised_config(folder):
        raise ModelError(f"{folder.name} is quantised already; leave quantise_base out.")
    model, files = unfilled(folder, dtype), Files(folder)
    try:
        for name, parameter in model.named_parameters():
            files.check(name, parameter)
    except ModelError:
        return quantised(model_load(folder, dtype=dtype), device)
    for name in linear_names(model):
        layer = model.get_submodule(name)
        files.fill({f"{name}.weight": layer.weight}, device)  # type: ignore[dict-item]
        model.set_submodule(name, Nf4Linear(layer, device))
    files.fill(dict(model.named_parameters()), device)  # what is left: biases, and all else
    return model.to(device)


def quantised(model: nn.Module, device: str) -> nn.Module:
    """`model` on `device`, its blocks' linear layers in NF4, one after another."""
    for name in linear_names(model):
        model.set_submodule(name, Nf4Linear(model.get_submodule(name), device))
    return model.to(device)
