"""Predictions for images and recordings: their class, with each class's probability."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from workers.engine import devices
from workers.engine.data.media import url_bytes
from workers.engine.data.rows import RowError
from workers.engine.data.samples import Format
from workers.engine.errors import DataError, ModelError
from workers.engine.protocol import DEFAULT_NUMERICS, Numerics
from workers.engine.tasks.classifier import answer, classifier_load, trained_classes
from workers.engine.tasks.sample_classification import Kind, logits_of_samples


class SampleClassifier:
    """A trained classifier in memory."""

    def __init__(self, model: nn.Module, kind: Kind, form: Format, classes: Sequence[str]) -> None:
        self._model, self._kind, self._form = model, kind, form
        self.classes = tuple(classes)

    @classmethod
    def load(cls, kind: Kind, folder: Path, numerics: Numerics = DEFAULT_NUMERICS) -> Self:
        """Load a classifier's folder.

        Raises:
            ModelError: it holds no trained classifier.
        """
        devices.settle(numerics)
        classes = trained_classes(folder, kind.ending)
        if not classes:
            raise ModelError(f"{folder.name} is no trained classifier")
        model = classifier_load(kind.auto, folder, classes, numerics)
        return cls(model, kind, kind.form(folder), classes)

    @torch.inference_mode()
    def predict(self, urls: Sequence[str]) -> list[dict[str, Any]]:
        """One answer per data URL, in order.

        Raises:
            DataError: one holds no file that can be read, or one longer than the model takes.
        """
        return [self._one(index, url) for index, url in enumerate(urls)]

    def _one(self, index: int, url: str) -> dict[str, Any]:
        try:
            decoded = self._form.decode(url_bytes(url, self._form.noun))
        except RowError as error:
            raise DataError(f"input {index}: {error.reason}; {error.fix}") from error
        if decoded.tokens > self._form.tokens:
            raise DataError(f"input {index} is longer than the model takes; shorten it.")
        values = decoded.values[None]
        logits = logits_of_samples(self._model, self._kind, self._form, values)
        return answer(self.classes, logits[0])
