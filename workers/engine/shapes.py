"""The sizes of models that time and memory depend on, read from their folders. Free of torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from workers.engine.errors import ModelError

# Families whose head is the embedding, or that have none, unless they say otherwise.
TIED = frozenset({"bert", "gpt2", "vit", "audio-spectrogram-transformer"})
HEADER_LIMIT = 100 * 2**20  # bytes; the format's own


@dataclass(frozen=True)
class Shape:
    """The sizes of a base model that cost depends on: `parameters` and so on.

    `tied`: the output head is the embedding, so its weights count once.
    """

    parameters: int
    layers: int
    hidden: int
    vocabulary: int
    tied: bool = True

    @property
    def head(self) -> int:
        """Weights of the output head, which computes at learned places only."""
        return self.vocabulary * self.hidden

    @property
    def body(self) -> int:
        """Weights that each token passes through."""
        return max(self.parameters - self.head * (1 if self.tied else 2), 0)

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The sizes of a Hugging Face folder, from `config.json` and its safetensors' headers.

        Raises:
            ModelError: the folder holds no readable model.
        """
        try:
            config = json.loads((folder / "config.json").read_text("utf-8"))
            stored = sum(map(_stored_numbers, sorted(folder.glob("*.safetensors"))))
            layers, hidden = _depth_and_width(config)
            return cls(
                parameters=stored or _block_weights(config),
                layers=layers,
                hidden=hidden,
                vocabulary=config.get("vocab_size", 0),
                tied=bool(config.get("tie_word_embeddings", config["model_type"] in TIED)),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder.name} holds no readable model ({error!r})") from error


# What stands for a table's network where shapes are compared: it is made for the table.
TABLE = Shape(parameters=1, layers=1, hidden=1, vocabulary=0)


def table_shape(hidden: Sequence[int], columns: int) -> Shape:
    """A table's network by the weights that each cell passes through, for it counts as a token."""
    sizes = [columns, *hidden, 1]
    weights = sum(a * b for a, b in pairwise(sizes))
    parameters = max(1, round(weights / max(columns, 1)))
    return replace(TABLE, parameters=parameters, layers=len(hidden) + 1)


def _depth_and_width(config: Mapping[str, Any]) -> tuple[int, int]:
    """Layers, and numbers that each makes of a token; of a network in stages those of the first.

    Later stages are twice as wide each, but see a quarter of the places.
    """
    if "depths" in config:
        return sum(config["depths"]), config["hidden_sizes"][0]
    return (
        config.get("num_hidden_layers") or config["n_layer"],
        config.get("hidden_size") or config["n_embd"],
    )


def _block_weights(config: Mapping[str, Any]) -> int:
    """The weights that a model without any yet will have in its blocks: transformers', ConvNeXt's.

    Of the latter's, those of its two products over channels.
    """
    if "depths" in config:
        stages = zip(config["depths"], config["hidden_sizes"], strict=True)
        return sum(8 * layers * width**2 for layers, width in stages)
    hidden, middle = config["hidden_size"], config["intermediate_size"]
    return int(config["num_hidden_layers"] * hidden * (4 * hidden + 2 * middle))


def _stored_numbers(path: Path) -> int:
    """How many numbers a safetensors file holds, from its header alone."""
    with path.open("rb") as handle:
        size = int.from_bytes(handle.read(8), "little")
        if size > HEADER_LIMIT:
            raise ValueError(f"{path.name} says that its header has {size} bytes")
        header = json.loads(handle.read(size))
    return sum(math.prod(e["shape"]) for name, e in header.items() if name != "__metadata__")
