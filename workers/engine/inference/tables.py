"""Predictions for rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch

from workers.engine import devices
from workers.engine.data.columns import Schema
from workers.engine.protocol import DEFAULT_NUMERICS, Numerics
from workers.engine.tasks.mlp import Mlp


class TableModel:
    """A trained table model in memory."""

    def __init__(self, model: Mlp, device: str) -> None:
        self._model, self._device = model, device

    @classmethod
    def load(cls, folder: Path, numerics: Numerics = DEFAULT_NUMERICS) -> Self:
        """Load a model's folder.

        Raises:
            ModelError: it holds no trained table model.
        """
        devices.settle(numerics)
        model = Mlp.load(folder, numerics.device).requires_grad_(requires_grad=False).eval()
        return cls(model, numerics.device)

    @property
    def schema(self) -> Schema:
        return self._model.schema

    @torch.inference_mode()
    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One answer per row, in order: the quantity, or the class with each one's probability.

        Raises:
            DataError: a row lacks a column, or holds a text where a number belongs.
        """
        features = self.schema.features(rows, range(1, len(rows) + 1))
        out = self._model(torch.from_numpy(features).to(self._device)).double()
        if not self.schema.classes:
            values = out.squeeze(-1) * self.schema.scale + self.schema.mean
            return [{"prediction": value} for value in values.tolist()]
        return [
            {
                "prediction": self.schema.classes[max(range(len(each)), key=each.__getitem__)],
                "probabilities": dict(zip(self.schema.classes, each, strict=True)),
            }
            for each in out.softmax(-1).tolist()
        ]
