"""Tables: regression by squared error, classification by cross-entropy, of an MLP."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from workers.engine.data.columns import Floats, Schema
from workers.engine.data.packing import Ints
from workers.engine.data.problems import problems_refuse
from workers.engine.data.shards import Sizes
from workers.engine.data.tables import Table, table_read
from workers.engine.errors import DataError
from workers.engine.models import parameter_count
from workers.engine.profiles import BACKWARD_ACTIVATIONS, BACKWARD_WEIGHTS, FORWARD
from workers.engine.protocol import Numerics
from workers.engine.specs import PRESETS, EvaluateSpec, FineTuneSpec, TabularSpec
from workers.engine.tasks.classes import class_metrics, most_frequent
from workers.engine.tasks.classifier import class_loss
from workers.engine.tasks.mlp import Mlp, is_trained
from workers.engine.tasks.scores import Score, scores_of
from workers.engine.unfit import refuse_unfit


@dataclass(frozen=True)
class Rows:
    """A table in numbers: `features` (rows, inputs), `labels` (rows,), standardised."""

    features: Floats
    labels: Floats
    sizes: Sizes
    lengths: Ints

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class RowBatch:
    """Some rows of it."""

    features: Floats
    labels: Floats
    columns: int

    @property
    def examples(self) -> int:
        return len(self.labels)

    @property
    def tokens(self) -> int:
        return len(self.labels) * self.columns

    @property
    def weight(self) -> int:
        return len(self.labels)


class Tabular:
    """One target from all other columns. The loss is per row, of the standardised target."""

    shares_base = is_packed = False
    head: tuple[str, ...] = ()

    def __init__(self, base: Path, spec: FineTuneSpec | EvaluateSpec) -> None:
        refuse_unfit(spec)
        self.base, self.spec = base, spec
        self._schema: Schema | None = None

    @cached_property
    def _earlier(self) -> Mlp | None:
        return Mlp.load(self.base) if is_trained(self.base) else None

    @property
    def schema(self) -> Schema:
        """That of the model trained earlier, else of the training rows."""
        if self._earlier is not None:
            return self._earlier.schema
        if self._schema is None:
            raise DataError("this base was trained on no table yet; fine-tune it first.")
        return self._schema

    def read(self, path: Path, folder: Path, *, training: bool) -> Rows:  # noqa: ARG002
        with path.open("rb") as handle:
            table, problems = table_read(handle, self._columns, training=training)
        problems_refuse(problems)
        assert table is not None  # noqa: S101  (no problems, so there is one)
        if training and self._earlier is None:
            self._schema = Schema.fit(table, self.spec.tabular)
        return self._rows(table)

    @property
    def _columns(self) -> TabularSpec:
        """The target and problem of the model trained earlier, else those asked for."""
        if self._earlier is None:
            return self.spec.tabular
        schema = self._earlier.schema
        problem = "classification" if schema.classes else "regression"
        return TabularSpec(target=schema.target, problem=problem)

    def _rows(self, table: Table) -> Rows:
        named = [dict(zip(table.columns, row.cells, strict=True)) for row in table.rows]
        features = self.schema.features(named, [row.line for row in table.rows])
        count, columns = len(table.rows), len(self.schema.columns)
        return Rows(
            features=features,
            labels=self.schema.labels(table),
            sizes=Sizes(count, count * columns, count),
            lengths=np.full(count, columns),
        )

    def model(self, numerics: Numerics) -> nn.Module:
        model = self._earlier
        if model is None:
            hidden = self.spec.tabular.hidden
            sizes = PRESETS[hidden] if isinstance(hidden, str) else hidden
            model = Mlp.fresh(self.schema, sizes, getattr(self.spec, "seed", 0))
        return model.requires_grad_(requires_grad=False).eval().to(numerics.device)

    def micro_batches(
        self,
        data: Rows,
        chosen: Sequence[int],
        budget: int,
        *,
        packing: bool,  # noqa: ARG002
    ) -> list[RowBatch]:
        columns = len(self.schema.columns)
        size = max(1, budget // columns)
        places = np.asarray(chosen)
        return [
            RowBatch(data.features[part], data.labels[part], columns)
            for part in (places[i : i + size] for i in range(0, len(places), size))
        ]

    def loss(
        self, model: nn.Module, batch: RowBatch, device: str
    ) -> tuple[Tensor, Mapping[str, Any]]:
        return self.loss_of(self.outputs(model, batch, device), batch)

    def outputs(self, model: nn.Module, batch: RowBatch, device: str) -> Tensor:
        found: Tensor = model(torch.from_numpy(batch.features).to(device))
        return found

    def loss_of(self, outputs: Tensor, batch: RowBatch) -> tuple[Tensor, Mapping[str, Any]]:
        labels = torch.from_numpy(batch.labels).to(outputs.device)
        if self.schema.classes:
            return class_loss(outputs, labels.long())
        found = outputs.squeeze(-1)
        wide = labels.double()
        sums = {
            "absolute": (found.detach() - labels).abs().sum(),
            "target": wide.sum(),
            "target_squared": wide.square().sum(),
        }
        return mse_loss(found, labels, reduction="sum"), sums

    def scores(
        self,
        model: nn.Module,
        data: Rows,
        budget: int,
        device: str,
        *,
        chosen: Sequence[int] | None = None,
    ) -> Iterator[Score]:
        return scores_of(self, model, data, budget, device, chosen=chosen)

    def metrics(self, score: Score) -> dict[str, float]:
        """For classes: loss in nats, accuracy, macro F1. For a quantity, in its own unit: mean

        squared and absolute error; and the share of variance explained.
        """
        if self.schema.classes:
            confusion = score.sums.get("confusion")
            return {"loss": score.loss} | class_metrics(confusion, self.schema.outputs)
        rows, scale = max(score.weight, 1), self.schema.scale
        mean = score.sums.get("target", 0.0) / rows
        variance = score.sums.get("target_squared", 0.0) / rows - mean**2
        explained = 1 - score.loss / variance if variance > 0 else math.nan
        return {
            "loss": score.loss,
            "mse": score.loss * scale**2,
            "mae": score.sums.get("absolute", 0.0) / rows * scale,
            "r2": explained,
        }

    def baseline(self, data: Rows, validation: Rows) -> Mapping[str, float]:
        """Of the most frequent class, or of the mean."""
        if self.schema.classes:
            return most_frequent(data.labels, validation.labels)
        mean, wide = data.labels.astype(np.float64).mean(), validation.labels.astype(np.float64)
        scale = self.schema.scale
        return {
            "mse": float(np.square(wide - mean).mean() * scale**2),
            "mae": float(np.abs(wide - mean).mean() * scale),
        }

    def flops_per_token(self, model: nn.Module, *, training: bool) -> float:
        products = FORWARD + (BACKWARD_ACTIVATIONS + BACKWARD_WEIGHTS if training else 0.0)
        return products * parameter_count(model) / len(self.schema.columns)
