"""What a compression asks of a task besides learning and measuring, kind by kind.

How a model of it is loaded, how calibration rows become passes, what a timed pass is, and whether
its outputs are a distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from workers.engine.compression.part import Part
from workers.engine.compression.specs import LATENCY_LENGTH, LATENCY_ROWS, CompressSpec
from workers.engine.data.packing import Ints
from workers.engine.models import config_of, context_length, model_load
from workers.engine.protocol import Numerics
from workers.engine.specs import EvaluateSpec
from workers.engine.tasks.classifier import classifier_load
from workers.engine.tasks.embeddings import (
    Embeddings,
    Padded,
    encoder_limit,
    encoder_without_head,
    pooled,
)
from workers.engine.tasks.mlp import Mlp
from workers.engine.tasks.opening import task_open
from workers.engine.tasks.sample_classification import SampleClassification
from workers.engine.tasks.tabular import Tabular
from workers.engine.tasks.task import Teaches
from workers.engine.tasks.text_classification import TextClassification, text_classifier_load

TIMED_SAMPLES, TIMED_ROWS = 4, 512  # of a measured pass over images or recordings, and over a table
WHOLE = 1 << 40  # tokens: a budget that splits nothing
PAIRS_AT_ONCE = 8  # of embeddings: enough for a loss, few enough for one pass


@dataclass(frozen=True)
class Probe:
    """A forward pass to be timed; `run` returns any of its outputs."""

    run: Callable[[nn.Module], Tensor]
    tokens: int


class Subject:
    """Text generation, and what all kinds share."""

    is_distribution = True  # outputs are logits: two models differ by KL divergence
    unit: ClassVar[str] = "tokens"  # what a layer sees one of at a time
    proxy_rows = 16  # that a search judges every candidate by
    closing_scores = 0  # that come after the passes

    def __init__(self, task: Teaches) -> None:
        self.task = task

    def load(self, folder: Path, numerics: Numerics) -> nn.Module:
        """A model of this kind that was saved on the way."""
        return model_load(folder, dtype=numerics.dtype, device=numerics.device)

    def passes(self, data: Any, chosen: Sequence[int], budget: int) -> list[Any]:
        """The chosen examples as micro-batches that are one forward pass each."""
        return [
            batch
            for batch in self.task.micro_batches(data, chosen, budget, packing=True)
            if batch.weight
        ]

    def forward(self, model: nn.Module, batch: Any, device: str) -> Tensor:
        """One pass through all layers."""
        return self.task.outputs(model, batch, device)

    def real(self, batch: Any) -> Tensor | None:
        """(positions,): which of a pass's positions are no padding; None = all."""
        del batch
        return None

    def positions(self, lengths: Sequence[int]) -> int:
        """How many positions a layer sees of examples of these tokens."""
        return sum(lengths)

    def probe(self, model: nn.Module, held: Part, device: str) -> Probe:  # noqa: ARG002
        """What a compressed model is timed by: here the logits of the last tokens."""
        ids = _ids(config_of(model).vocab_size, LATENCY_LENGTH, device)
        return Probe(
            lambda m: m(input_ids=ids, use_cache=False, logits_to_keep=1).logits, ids.numel()
        )


class Texts(Subject):
    """Texts with a class each."""

    task: TextClassification
    proxy_rows = 256

    def load(self, folder: Path, numerics: Numerics) -> nn.Module:
        return text_classifier_load(folder, self.task.classes, numerics)

    def real(self, batch: Any) -> Tensor | None:
        return torch.from_numpy(batch.mask).flatten().bool()

    def probe(self, model: nn.Module, held: Part, device: str) -> Probe:  # noqa: ARG002
        config = config_of(model)
        ids, mask = _texts(config, context_length(config), device)
        return Probe(lambda m: m(input_ids=ids, attention_mask=mask).logits, ids.numel())


class Samples(Subject):
    """Images and recordings with a class each; a timed pass is over real ones."""

    task: SampleClassification
    proxy_rows = 256

    def load(self, folder: Path, numerics: Numerics) -> nn.Module:
        return classifier_load(self.task.kind.auto, folder, self.task.classes, numerics)

    def probe(self, model: nn.Module, held: Part, device: str) -> Probe:  # noqa: ARG002
        return _over(self.task, held, TIMED_SAMPLES, device)


class Tables(Subject):
    """A quantity or a class from a table's columns."""

    task: Tabular
    unit = "rows"
    proxy_rows = 1024

    @property
    def is_distribution(self) -> bool:  # type: ignore[override]
        return bool(self.task.schema.classes)

    def load(self, folder: Path, numerics: Numerics) -> nn.Module:
        return Mlp.load(folder, numerics.device).requires_grad_(requires_grad=False).eval()

    def positions(self, lengths: Sequence[int]) -> int:
        return len(lengths)

    def probe(self, model: nn.Module, held: Part, device: str) -> Probe:  # noqa: ARG002
        return _over(self.task, held, TIMED_ROWS, device)


class Vectors(Subject):
    """Texts to vectors. Several passes make up an update, so no layer is compared."""

    task: Embeddings
    is_distribution = False
    proxy_rows = 128
    closing_scores = 1  # how anchors find theirs among all

    def load(self, folder: Path, numerics: Numerics) -> nn.Module:
        return encoder_without_head(folder, numerics)

    def passes(self, data: Any, chosen: Sequence[int], budget: int) -> list[Any]:
        """Few pairs at a time, all their texts padded into one pass."""
        del budget
        found = []
        for start in range(0, len(chosen), PAIRS_AT_ONCE):
            part = chosen[start : start + PAIRS_AT_ONCE]
            found += [
                replace(batch, parts=(_joined(batch.parts),))
                for batch in self.task.micro_batches(data, part, WHOLE, packing=True)
            ]
        return found

    def forward(self, model: nn.Module, batch: Any, device: str) -> Tensor:
        (part,) = batch.parts
        ids, mask = (torch.from_numpy(given).to(device) for given in (part.ids, part.mask))
        return pooled(model, ids, mask)

    def real(self, batch: Any) -> Tensor | None:
        (part,) = cast("tuple[Padded]", batch.parts)
        return torch.from_numpy(part.mask).flatten().bool()

    def probe(self, model: nn.Module, held: Part, device: str) -> Probe:  # noqa: ARG002
        config = config_of(model)
        ids, mask = _texts(config, encoder_limit(self.task.base, config), device)
        return Probe(lambda m: pooled(m, ids, mask), ids.numel())


_SUBJECTS: Mapping[str, type[Subject]] = {
    "text_generation": Subject,
    "text_classification": Texts,
    "image_classification": Samples,
    "audio_classification": Samples,
    "tabular": Tables,
    "embeddings": Vectors,
}


def subject_open(base: Path, spec: CompressSpec) -> Subject:
    """The subject that `spec` names, over a model's folder."""
    asked = EvaluateSpec(task=spec.task, max_length=spec.max_length)
    return _SUBJECTS[spec.task](cast("Teaches", task_open(base, asked)))


def _ids(vocabulary: int, length: int, device: str) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randint(vocabulary, (LATENCY_ROWS, length), generator=draws).to(device)


def _texts(config: Any, longest: int, device: str) -> tuple[Tensor, Tensor]:
    """Ids and mask of texts without padding."""
    ids = _ids(config.vocab_size, min(LATENCY_LENGTH, longest), device)
    return ids, torch.ones_like(ids)


def _joined(parts: Sequence[Padded]) -> Padded:
    """Several passes' texts as one."""
    longest = max(part.ids.shape[1] for part in parts)

    def wide(each: Ints) -> Ints:
        padded: Ints = np.pad(each, ((0, 0), (0, longest - each.shape[1])))
        return padded

    return Padded(
        np.concatenate([part.places for part in parts]),
        np.concatenate([wide(part.ids) for part in parts]),
        np.concatenate([wide(part.mask) for part in parts]),
    )


def _over(task: Any, held: Part, rows: int, device: str) -> Probe:
    """A pass over real examples, repeated where there are fewer than `rows`."""
    places = (list(held.places) * (rows // len(held) + 1))[:rows]
    (batch,) = task.micro_batches(held.data, places, WHOLE, packing=True)
    return Probe(lambda model: task.outputs(model, batch, device), batch.tokens)
