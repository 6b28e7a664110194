"""A multi-layer perceptron over a table's numbers, kept with its schema: the tabular model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workers.engine.compression.quantise.files import quantised_load
from workers.engine.data.columns import Schema
from workers.engine.data.tables import MODEL_TYPE
from workers.engine.errors import ModelError

WEIGHTS = "model.safetensors"


class Mlp(nn.Module):
    """(rows, inputs) to (rows, outputs): linear layers with ReLU between them."""

    def __init__(self, schema: Schema, hidden: Sequence[int]) -> None:
        super().__init__()
        self.schema = schema
        self.quantisation: dict[str, Any] | None = None  # how its weights are rounded, if they are
        sizes = [schema.inputs, *hidden, schema.outputs]
        layers: list[nn.Module] = []
        for number, (size, wider) in enumerate(pairwise(sizes)):
            layers += [nn.ReLU()] if number else []
            layers += [nn.Linear(size, wider)]
        self.layers = nn.Sequential(*layers)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of the hidden layers."""
        biases = [cast("Tensor", each.bias) for each in self.layers if hasattr(each, "bias")]
        return tuple(len(bias) for bias in biases[:-1])

    @classmethod
    def fresh(cls, schema: Schema, hidden: Sequence[int], seed: int) -> Self:
        """A new network; torch's own initialisation, a function of the seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(schema, hidden)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """A saved one, on `device`.

        Raises:
            ModelError: the folder holds none.
        """
        try:
            config = json.loads((folder / "config.json").read_text("utf-8"))
            model = cls(Schema.from_dict(config["schema"]), config["hidden_sizes"])
            rounded = config.get("quantization_config")
            if rounded is not None:
                return cast("Self", quantised_load(folder, rounded, lambda: model, device))
            model.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ModelError(f"{folder.name} is no tabular model ({error!r})") from error
        return model.to(device)

    def save_pretrained(self, folder: Path, state_dict: Mapping[str, Tensor] | None = None) -> None:
        """Write `config.json` and `model.safetensors`, with the model's own weights or others."""
        config = {
            "model_type": MODEL_TYPE,
            "hidden_sizes": list(self.hidden),
            "max_position_embeddings": len(self.schema.columns),
            "schema": self.schema.to_dict(),
        }
        if self.quantisation is not None:
            config["quantization_config"] = self.quantisation
        (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True))
        written = self.state_dict() if state_dict is None else state_dict
        state = {name: tensor.detach().contiguous() for name, tensor in written.items()}
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.layers(x))


def is_trained(folder: Path) -> bool:
    """Whether a base folder is a trained table model, not the empty base to start afresh from."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder.name} has no readable config.json ({error})") from error
    if config.get("model_type") != MODEL_TYPE:
        raise ModelError(
            f"{folder.name} is a {config.get('model_type')} model; tables train on tabular-mlp."
        )
    return "schema" in config
