"""Texts to classes: an encoder or decoder with transformers' own classification head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from workers.engine.data.labelled import LabelledText, labelled_read
from workers.engine.data.packing import Ints, alike
from workers.engine.data.problems import Problem
from workers.engine.data.readers import Example
from workers.engine.data.shards import Shards, Sizes
from workers.engine.data.tokens import Tokenizer
from workers.engine.models import config_load, config_of, context_length
from workers.engine.protocol import Numerics
from workers.engine.specs import EvaluateSpec, FineTuneSpec
from workers.engine.tasks.classifier import (
    Classification,
    classifier_load,
)

KIND = "ForSequenceClassification"


@dataclass(frozen=True)
class Labelled:
    """Encoded texts on disk, and each one's class (its place among the classes)."""

    shards: Shards
    labels: Ints

    @property
    def sizes(self) -> Sizes:
        return self.shards.sizes

    @property
    def lengths(self) -> Ints:
        return self.shards.lengths

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class TextBatch:
    """Texts padded on the right. `ids`, `mask`: (B, T) int64; `labels`: (B,) int64."""

    ids: Ints
    mask: Ints
    labels: Ints

    @property
    def examples(self) -> int:
        return len(self.labels)

    @property
    def tokens(self) -> int:
        return int(self.mask.sum())

    @property
    def weight(self) -> int:
        return len(self.labels)


class TextClassification(Classification):
    """One class per text."""

    ending = KIND

    def __init__(self, base: Path, spec: FineTuneSpec | EvaluateSpec) -> None:
        super().__init__(base, spec)
        self._tokenizer = Tokenizer.load(base)
        self._device = "cpu"  # until the model is opened

    @cached_property
    def _config(self) -> Any:
        return config_load(self.base)

    def read(self, path: Path, folder: Path, *, training: bool) -> Labelled:
        longest = min(self.spec.max_length, context_length(self._config))
        labels: list[str] = []
        lines: list[int] = []

        def encoded() -> Iterator[Example | Problem]:
            with path.open("rb") as handle:
                for item in labelled_read(
                    handle, self._tokenizer, self.spec.length_policy, longest, training=training
                ):
                    if isinstance(item, LabelledText):
                        labels.append(item.label)
                        lines.append(item.line)
                        mask = [0] * (len(item.ids) - 1) + [1]
                        yield Example(item.line, item.ids, mask, item.cut)
                    else:
                        yield item

        shards = Shards.write(encoded(), folder, vocabulary=self._config.vocab_size)
        return Labelled(shards, self.places(labels, lines, training=training))

    def model(self, numerics: Numerics) -> nn.Module:
        self._device = numerics.device
        return text_classifier_load(self.base, self.classes, numerics, seed=self.seed)

    def micro_batches(
        self, data: Labelled, chosen: Sequence[int], budget: int, *, packing: bool
    ) -> list[TextBatch]:
        """Of similar lengths, so that little is padding; one by one without `packing`."""
        lengths = [int(data.lengths[index]) for index in chosen]
        groups = alike(lengths, budget, packing=packing, device=self._device)
        return [self._padded(data, [chosen[place] for place in group]) for group in groups]

    def _padded(self, data: Labelled, group: Sequence[int]) -> TextBatch:
        longest = max(int(data.lengths[index]) for index in group)
        ids = np.full((len(group), longest), self._config.pad_token_id or 0, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, index in enumerate(group):
            tokens, _ = data.shards[index]
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        return TextBatch(ids, mask, data.labels[list(group)])

    def outputs(self, model: nn.Module, batch: TextBatch, device: str) -> Tensor:
        return logits_of_texts(model, batch.ids, batch.mask, device)


def text_classifier_load(
    folder: Path, classes: Sequence[str], numerics: Numerics, *, seed: int = 0
) -> nn.Module:
    """A folder's model with a head for `classes`, new (a function of `seed`) where it has none.

    Raises:
        ModelError: transformers knows no classifier of this architecture, or cannot load it.
    """
    auto = AutoModelForSequenceClassification
    model = classifier_load(auto, folder, classes, numerics, seed=seed)
    config = config_of(model)
    if config.pad_token_id is None:  # decoders find the last token by it
        config.pad_token_id = 0
    return model


def logits_of_texts(model: nn.Module, ids: Ints, mask: Ints, device: str) -> Tensor:
    """(B, classes), for padded texts."""
    logits: Tensor = model(
        input_ids=torch.from_numpy(ids).to(device),
        attention_mask=torch.from_numpy(mask).to(device),
    ).logits
    return logits
