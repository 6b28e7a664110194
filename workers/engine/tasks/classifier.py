"""What all classifiers have in common: transformers' own heads, classes, loss, metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot
from transformers import AutoConfig, AutoModel

from workers.engine.compression.quantise.files import plain_config, quantised_config, quantised_load
from workers.engine.data.model_files import read_json
from workers.engine.data.packing import Ints
from workers.engine.errors import DataError, ModelError
from workers.engine.models import DTYPES, parameter_count
from workers.engine.profiles import BACKWARD_ACTIVATIONS, BACKWARD_WEIGHTS, FORWARD
from workers.engine.protocol import Numerics
from workers.engine.specs import EvaluateSpec, FineTuneSpec
from workers.engine.tasks.classes import class_metrics, most_frequent
from workers.engine.tasks.scores import Score, scores_of
from workers.engine.unfit import refuse_unfit
from workers.engine.whole import UNLOADABLE, refuse_hollow


class Classification(ABC):
    """One class per example; the loss is the cross-entropy per example, in nats.

    What follows says how a model is opened, and what is abstract here.
    """

    shares_base = is_packed = False
    head: tuple[str, ...] = ()
    ending: str  # of transformers' class for it: `ForSequenceClassification`, …

    def __init__(self, base: Path, spec: FineTuneSpec | EvaluateSpec) -> None:
        refuse_unfit(spec)
        self.base, self.spec = base, spec
        self._classes = trained_classes(base, self.ending)

    @property
    def classes(self) -> tuple[str, ...]:
        if not self._classes:
            raise DataError("this base tells no classes apart yet; fine-tune it first.")
        return self._classes

    def places(self, labels: Sequence[str], lines: Sequence[int], *, training: bool) -> Ints:
        """Each label's place; the classes are those of the training data, unless there are some."""
        if training and not self._classes:
            self._classes = tuple(sorted(set(labels)))
        return class_places(self.classes, labels, lines)

    @property
    def seed(self) -> int:
        return getattr(self.spec, "seed", 0)

    @abstractmethod
    def micro_batches(
        self, data: Any, chosen: Sequence[int], budget: int, *, packing: bool
    ) -> list[Any]:
        """The chosen examples as batches of at most `budget` tokens."""

    def loss(self, model: nn.Module, batch: Any, device: str) -> tuple[Tensor, Mapping[str, Any]]:
        return self.loss_of(self.outputs(model, batch, device), batch)

    @abstractmethod
    def outputs(self, model: nn.Module, batch: Any, device: str) -> Tensor:
        """The logits (B, classes) of a batch."""

    def loss_of(self, outputs: Tensor, batch: Any) -> tuple[Tensor, Mapping[str, Any]]:
        return class_loss(outputs, torch.from_numpy(batch.labels).to(outputs.device))

    def scores(
        self,
        model: nn.Module,
        data: Any,
        budget: int,
        device: str,
        *,
        chosen: Sequence[int] | None = None,
    ) -> Iterator[Score]:
        return scores_of(self, model, data, budget, device, chosen=chosen)

    def metrics(self, score: Score) -> dict[str, float]:
        """Loss in nats, accuracy, macro F1."""
        confusion = score.sums.get("confusion")
        return {"loss": score.loss} | class_metrics(confusion, len(self.classes))

    def baseline(self, data: Any, validation: Any) -> Mapping[str, float]:
        return most_frequent(data.labels, validation.labels)

    def flops_per_token(self, model: nn.Module, *, training: bool) -> float:
        products = FORWARD + (BACKWARD_ACTIVATIONS + BACKWARD_WEIGHTS if training else 0.0)
        return products * parameter_count(model)


def trained_classes(folder: Path, kind: str) -> tuple[str, ...]:
    """The classes of a folder that is a classifier of a kind already, in order; else none.

    `kind` is how transformers' class for it is called: `ForSequenceClassification`, …
    """
    config = read_json(folder / "config.json")
    kinds = config.get("architectures") or [""]
    if not str(kinds[0]).endswith(kind):
        return ()
    named = config.get("id2label") or {}
    return tuple(str(named[place]) for place in sorted(named, key=int))


def class_places(classes: Sequence[str], labels: Sequence[str], lines: Sequence[int]) -> Ints:
    """Each label's place among the classes.

    Raises:
        DataError: one is no class; with its line.
    """
    places = {label: place for place, label in enumerate(classes)}
    for label, line in zip(labels, lines, strict=True):
        if label not in places:
            raise DataError(
                f"line {line}, label: {label!r} is no class of the training data; mend it."
            )
    return np.array([places[label] for label in labels], dtype=np.int64)


def classifier_load(
    auto: Any, folder: Path, classes: Sequence[str], numerics: Numerics, *, seed: int = 0
) -> nn.Module:
    """A folder's model with a head for `classes`; what has no weights yet is a function of `seed`.

    `auto` is transformers' class for the task (`AutoModelForImageClassification`, …).

    Raises:
        ModelError: transformers knows no classifier of this architecture, or cannot load it.
    """
    labels: dict[str, Any] = {
        "id2label": dict(enumerate(classes)),
        "label2id": {label: place for place, label in enumerate(classes)},
    }
    named = {**labels, "local_files_only": True, "trust_remote_code": False}
    dtype = DTYPES[numerics.dtype]
    quantised = quantised_config(folder)
    if quantised is not None:

        def build() -> nn.Module:
            made: nn.Module = auto.from_config(plain_config(folder, **labels), dtype=dtype)
            return made

        return quantised_load(folder, quantised, build, numerics.device)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if is_blank(folder):
                config = AutoConfig.from_pretrained(str(folder), **named)
                model: nn.Module = auto.from_config(config, dtype=dtype)
            else:
                refuse_hollow(AutoModel, folder)
                model = auto.from_pretrained(
                    str(folder), dtype=dtype, use_safetensors=True, **named
                )
    except UNLOADABLE as error:
        raise ModelError(f"{folder.name} cannot become a classifier ({error})") from error
    return model.requires_grad_(requires_grad=False).eval().to(numerics.device)


def is_blank(folder: Path) -> bool:
    """Whether a base is a shape without weights."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return False
    with safe_open(weights, framework="np") as tensors:
        return not list(tensors.keys())


def class_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Mapping[str, Any]]:
    """The summed cross-entropy of logits (B, classes) for labels (B,), and their confusion."""
    width = logits.shape[1]
    guessed = logits.detach().argmax(-1)
    confusion = one_hot(labels * width + guessed, width * width).sum(0)
    return cross_entropy(logits.float(), labels, reduction="sum"), {"confusion": confusion}


def answer(classes: Sequence[str], logits: Tensor) -> dict[str, Any]:
    """A prediction from logits (classes,): the likeliest class, and each one's probability."""
    shares = logits.double().softmax(-1).tolist()
    best = max(range(len(shares)), key=shares.__getitem__)
    return {
        "prediction": classes[best],
        "probabilities": dict(zip(classes, shares, strict=True)),
    }
