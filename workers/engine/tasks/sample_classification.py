"""Images and recordings to classes: transformers of patches, with transformers' own heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModelForAudioClassification, AutoModelForImageClassification

from workers.engine.data.images import ImageFormat
from workers.engine.data.packing import Ints
from workers.engine.data.recordings import AudioFormat
from workers.engine.data.samples import Format, Samples, Values, samples_read, samples_write
from workers.engine.errors import DataError
from workers.engine.models import parameter_count
from workers.engine.profiles import BACKWARD_ACTIVATIONS, BACKWARD_WEIGHTS, FORWARD
from workers.engine.protocol import Numerics
from workers.engine.specs import EvaluateSpec, FineTuneSpec
from workers.engine.tasks.classes import class_metrics, most_frequent
from workers.engine.tasks.classifier import (
    class_loss,
    class_places,
    classifier_load,
    trained_classes,
)
from workers.engine.tasks.scores import Score, scores_of
from workers.engine.unfit import refuse_unfit


@dataclass(frozen=True)
class Kind:
    """What tells images from recordings: their format, transformers' class, its input's name."""

    form: Callable[[Path], Format]
    auto: Any
    ending: str
    argument: str


IMAGES = Kind(
    ImageFormat.load, AutoModelForImageClassification, "ForImageClassification", "pixel_values"
)
RECORDINGS = Kind(
    AudioFormat.load, AutoModelForAudioClassification, "ForAudioClassification", "input_values"
)


@dataclass(frozen=True)
class SampleBatch:
    """Some samples; each is `each` patches."""

    values: Values
    labels: Ints
    each: int

    @property
    def examples(self) -> int:
        return len(self.labels)

    @property
    def tokens(self) -> int:
        return len(self.labels) * self.each

    @property
    def weight(self) -> int:
        return len(self.labels)


class SampleClassification:
    """One class per file; the loss is the cross-entropy per file, in nats."""

    shares_base = is_packed = False
    head: tuple[str, ...] = ()
    kind: ClassVar[Kind]

    def __init__(self, base: Path, spec: FineTuneSpec | EvaluateSpec) -> None:
        self.form = self.kind.form(base)
        refuse_unfit(spec)
        self.base, self.spec = base, spec
        self._classes = trained_classes(base, self.kind.ending)

    @property
    def classes(self) -> tuple[str, ...]:
        if not self._classes:
            raise DataError("this base tells no classes apart yet; fine-tune it first.")
        return self._classes

    def read(self, path: Path, folder: Path, *, training: bool) -> Samples:
        with path.open("rb") as handle:
            found = samples_read(handle, self.form, self.spec.length_policy, training=training)
            stored = samples_write(found, folder)
        if training and not self._classes:
            self._classes = tuple(sorted(set(stored.labels)))
        return stored.opened(class_places(self.classes, stored.labels, stored.lines))

    def model(self, numerics: Numerics) -> nn.Module:
        seed = getattr(self.spec, "seed", 0)
        return classifier_load(self.kind.auto, self.base, self.classes, numerics, seed=seed)

    def micro_batches(
        self,
        data: Samples,
        chosen: Sequence[int],
        budget: int,
        *,
        packing: bool,  # noqa: ARG002
    ) -> list[SampleBatch]:
        size = max(1, budget // self.form.tokens)
        places = np.asarray(chosen)
        return [
            SampleBatch(data.values[part], data.labels[part], self.form.tokens)
            for part in (places[i : i + size] for i in range(0, len(places), size))
        ]

    def loss(
        self, model: nn.Module, batch: SampleBatch, device: str
    ) -> tuple[Tensor, Mapping[str, Any]]:
        return self.loss_of(self.outputs(model, batch, device), batch)

    def outputs(self, model: nn.Module, batch: SampleBatch, device: str) -> Tensor:  # noqa: ARG002
        return logits_of_samples(model, self.kind, self.form, batch.values)

    def loss_of(self, outputs: Tensor, batch: SampleBatch) -> tuple[Tensor, Mapping[str, Any]]:
        return class_loss(outputs, torch.from_numpy(batch.labels).to(outputs.device))

    def scores(
        self,
        model: nn.Module,
        data: Samples,
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

    def baseline(self, data: Samples, validation: Samples) -> Mapping[str, float]:
        return most_frequent(data.labels, validation.labels)

    def flops_per_token(self, model: nn.Module, *, training: bool) -> float:
        products = FORWARD + (BACKWARD_ACTIVATIONS + BACKWARD_WEIGHTS if training else 0.0)
        return products * parameter_count(model)


class ImageClassification(SampleClassification):
    """Images."""

    kind = IMAGES


class AudioClassification(SampleClassification):
    """Recordings."""

    kind = RECORDINGS


def logits_of_samples(model: nn.Module, kind: Kind, form: Format, values: Values) -> Tensor:
    """(B, classes), for a batch as it is stored."""
    weight = next(model.parameters())
    given = torch.from_numpy(form.normalised(values)).to(weight.device, weight.dtype)
    logits: Tensor = model(**{kind.argument: given}).logits
    return logits
