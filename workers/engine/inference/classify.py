"""Predictions for texts: their class, with each class's probability."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from workers.engine import devices
from workers.engine.data.tokens import Tokenizer
from workers.engine.errors import ContextError, ModelError
from workers.engine.models import config_of, context_length
from workers.engine.protocol import DEFAULT_NUMERICS, Numerics
from workers.engine.tasks.classifier import answer, trained_classes
from workers.engine.tasks.text_classification import (
    KIND,
    logits_of_texts,
    text_classifier_load,
)


class TextClassifier:
    """A trained classifier in memory; it takes at most `limit` tokens per text."""

    def __init__(
        self, model: nn.Module, tokenizer: Tokenizer, classes: Sequence[str], device: str
    ) -> None:
        self._model, self._tokenizer, self._device = model, tokenizer, device
        self.classes = tuple(classes)
        self.limit = context_length(config_of(model))

    @classmethod
    def load(cls, folder: Path, numerics: Numerics = DEFAULT_NUMERICS) -> Self:
        """Load a classifier's folder.

        Raises:
            ModelError: it holds no trained classifier.
        """
        devices.settle(numerics)
        classes = trained_classes(folder, KIND)
        if not classes:
            raise ModelError(f"{folder.name} is no trained classifier")
        model = text_classifier_load(folder, classes, numerics)
        return cls(model, Tokenizer.load(folder), classes, numerics.device)

    @torch.inference_mode()
    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """One answer per text, in order.

        Raises:
            ContextError: a text is longer than `limit` tokens.
        """
        return [self._one(index, text) for index, text in enumerate(texts)]

    def _one(self, index: int, text: str) -> dict[str, Any]:
        ids = self._tokenizer.encode_whole(text)
        if len(ids) > self.limit:
            raise ContextError(
                f"input {index} has {len(ids)} tokens; this model takes at most {self.limit}. "
                "Shorten it."
            )
        row = np.array([ids], dtype=np.int64)
        logits = logits_of_texts(self._model, row, np.ones_like(row), self._device)
        return answer(self.classes, logits[0])
