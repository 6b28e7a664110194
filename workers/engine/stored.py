"""A model's weights read from its folder tensor by tensor, into a model that has none yet."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.initialization import no_init_weights

from workers.engine import attention
from workers.engine.errors import ModelError
from workers.engine.models import DTYPES, config_load
from workers.engine.whole import UNLOADABLE, refuse_hollow

INDEX = "model.safetensors.index.json"


def unfilled(folder: Path, dtype: str) -> nn.Module:
    """The model of `models.model_load`, whose weights are still to be read.

    Raises:
        ModelError: its config cannot be read, is of no causal language model, or of one with many
            more weights than the folder holds.
    """
    config, auto = config_load(folder), cast("Any", AutoModelForCausalLM)
    try:
        refuse_hollow(auto, folder)
        with no_init_weights():  # weights that nobody has written yet take no memory either
            model: nn.Module = auto.from_config(
                config, dtype=DTYPES[dtype], attn_implementation=attention.NAME
            )
    except UNLOADABLE as error:
        raise ModelError(f"{folder.name} is no causal language model ({error})") from error
    cast("Any", model).tie_weights()
    return model.requires_grad_(requires_grad=False).eval()


class Files:
    """The safetensors of a folder, by the model's names of their tensors."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._files = self._listed()
        except UNLOADABLE as error:
            raise ModelError(f"{folder.name} has no readable safetensors ({error})") from error

    def _listed(self) -> dict[str, str]:
        index = self._folder / INDEX
        if index.is_file():
            found: dict[str, str] = json.loads(index.read_text())["weight_map"]
            for file in set(found.values()):
                if Path(file).name != file or not (self._folder / file).is_file():
                    raise ValueError(f"{INDEX} names {file}, which is not in the folder")
            return found
        (path,) = self._folder.glob("*.safetensors")
        with safe_open(path, framework="pt") as opened:
            return dict.fromkeys(opened.keys(), path.name)

    def check(self, name: str, wanted: Tensor) -> None:
        """Raises ModelError where `name` is not stored as the model has it."""
        if name not in self._files:
            raise ModelError(
                f"{self._folder.name} holds no tensor {name}, so its layers cannot be read one by "
                "one; use a slot with more memory."
            )
        try:
            with safe_open(self._folder / self._files[name], framework="pt") as opened:
                stored = opened.get_slice(name).get_shape()
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{self._folder.name}: {name} cannot be read ({error})") from error
        if stored != list(wanted.shape):
            raise ModelError(f"{self._folder.name}: {name} is {stored}, not {list(wanted.shape)}.")

    def read(self, wanted: Mapping[str, torch.dtype], device: str) -> dict[str, Tensor]:
        """Those tensors; the files are closed again, so that nothing of them stays mapped."""
        by_file: dict[str, list[str]] = defaultdict(list)
        for name in wanted:
            by_file[self._files[name]].append(name)
        found: dict[str, Tensor] = {}
        for file, names in by_file.items():
            with safe_open(self._folder / file, framework="pt") as opened:
                for name in names:
                    tensor = opened.get_tensor(name)
                    found[name] = tensor.to(device, wanted[name], copy=True)
        return found

    def fill(self, parameters: Mapping[str, Tensor], device: str) -> None:
        """Give each of a model's parameters, by its name, its weights."""
        for name, parameter in parameters.items():
            parameter.data = self.read({name: parameter.dtype}, device)[name]
