"""Images and recordings to classes: transformers of patches, with transformers' own heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from workers.engine.protocol import Numerics
from workers.engine.specs import EvaluateSpec, FineTuneSpec
from workers.engine.tasks.classifier import (
    Classification,
    classifier_load,
)


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


class SampleClassification(Classification):
    """One class per file."""

    kind: ClassVar[Kind]

    def __init__(self, base: Path, spec: FineTuneSpec | EvaluateSpec) -> None:
        self.form, self.ending = self.kind.form(base), self.kind.ending
        super().__init__(base, spec)

    def read(self, path: Path, folder: Path, *, training: bool) -> Samples:
        with path.open("rb") as handle:
            found = samples_read(handle, self.form, self.spec.length_policy, training=training)
            stored = samples_write(found, folder)
        return stored.opened(self.places(stored.labels, stored.lines, training=training))

    def model(self, numerics: Numerics) -> nn.Module:
        return classifier_load(self.kind.auto, self.base, self.classes, numerics, seed=self.seed)

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

    def outputs(self, model: nn.Module, batch: SampleBatch, device: str) -> Tensor:  # noqa: ARG002
        return logits_of_samples(model, self.kind, self.form, batch.values)


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
