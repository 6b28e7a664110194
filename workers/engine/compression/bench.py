"""What every compression works on: the dense model, rows to calibrate with, rows to measure on.

It also keeps the count of steps, meters them, and obeys the answers to beats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from workers.engine.compression.prune import Sample
from workers.engine.compression.specs import LENGTH_POLICY
from workers.engine.data.dataset import Reader
from workers.engine.data.order import epoch_order
from workers.engine.data.packing import Ints, Pack, pack, plan
from workers.engine.data.shards import Shards, Sizes
from workers.engine.errors import DataError
from workers.engine.export.merged import merge_into
from workers.engine.losses import loss_sum
from workers.engine.methods.lora.adapter import adapter_load
from workers.engine.models import (
    Batch,
    config_of,
    context_length,
    logits_of,
    model_load,
    parameter_count,
)
from workers.engine.profiles import FORWARD
from workers.engine.protocol import MEASURED, Command, CompressWork, Handle, Outcome, Progress
from workers.engine.specs import EvaluateSpec
from workers.engine.tasks.scores import GROUP, Score
from workers.engine.tasks.text_generation import TextGeneration
from workers.engine.training.session import STOPS

FEWEST_ROWS = 2  # to calibrate with; one more is held out


class Stopped(Exception):
    """The outside asked to stop."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Subset(Shards):
    """Some examples of other shards, by their place there."""

    def __init__(self, whole: Shards, places: Sequence[int]) -> None:
        self._whole, self._places = whole, list(places)
        self.lengths: Ints = np.asarray([int(whole.lengths[p]) for p in self._places])
        learned = sum(int(whole[p][1].sum()) for p in self._places)
        self.sizes = Sizes(len(self._places), int(self.lengths.sum()), learned)

    def __getitem__(self, index: int) -> tuple[Ints, Ints]:
        return self._whole[self._places[index]]


class Bench:
    """One compression's models, data and standing."""

    def __init__(self, work: CompressWork, progress: Progress) -> None:
        """Open everything.

        Raises:
            EngineError: the model, the data or an adapter cannot be used.
        """
        self.work, self.spec, self.progress = work, work.spec, progress
        self.device = work.numerics.device
        self.task = TextGeneration(work.base.path, EvaluateSpec())
        self.dense = model_load(work.base.path, dtype=work.numerics.dtype, device=self.device)
        if work.adapter:
            merge_into(self.dense, adapter_load(work.adapter.path))
        self.config = config_of(self.dense)
        self.data, self.held_out = self._data()
        self.samples = self._samples()
        self.step, self.of, self.metrics = 0, 0, dict[str, float]()
        self.on_pause: Callable[[], None] = lambda: (
            None
        )  # writes a snapshot, where there is a point

    def _data(self) -> tuple[Shards, Shards]:
        reader = Reader.load(
            self.work.base.path,
            vocabulary=self.config.vocab_size,
            context=context_length(self.config),
        )

        def read(handle: Handle, name: str) -> Shards:
            folder: Path = self.work.scratch / "data" / name
            longest = self.spec.max_length
            return reader.shards(handle.path, folder, policy=LENGTH_POLICY, max_length=longest)

        data = read(self.work.data, "train")
        if self.work.validation:
            return self._enough(data), read(self.work.validation, "validation")
        order = [int(place) for place in epoch_order(0, 0, len(data))]
        held = max(1, round(len(order) * self.spec.held_out))
        return self._enough(Subset(data, sorted(order[held:]))), Subset(data, sorted(order[:held]))

    def _enough(self, data: Shards) -> Shards:
        if len(data) < FEWEST_ROWS:
            raise DataError(
                f"{len(data)} rows are too few to calibrate with; give at least {FEWEST_ROWS}, and "
                "one more to measure on."
            )
        return data

    def _samples(self) -> list[Sample]:
        """The calibration rows as batches, drawn in a fixed order."""
        order = epoch_order(1, 0, len(self.data))[: self.spec.calibration_examples]
        rows = [int(place) for place in order]
        lengths = [int(self.data.lengths[row]) for row in rows]
        groups = plan(lengths, self.spec.micro_batch_tokens, packing=True)
        self.calibration_tokens = sum(lengths)
        packs = [pack([self.data[rows[index]] for index in group]) for group in groups]
        return [self._sample(each) for each in packs if len(each.labels)]

    def _sample(self, given: Pack) -> Sample:
        batch = Batch.of(given, self.device)

        def forward(model: nn.Module) -> Tensor:
            return logits_of(model, batch)

        def loss(model: nn.Module) -> Tensor:
            return loss_sum(forward(model), batch.labels) / len(batch.labels)

        return Sample(forward, loss)

    def require_tokens(self, inputs: int) -> None:
        """Refuse to solve for more weights than there are tokens to solve them from.

        Raises:
            DataError: fewer calibration tokens than `inputs` of the widest layer.
        """
        if self.calibration_tokens < inputs:
            raise DataError(
                f"least squares over {inputs:,} inputs needs at least as many tokens; the "
                f"calibration rows have {self.calibration_tokens:,}. Give more or longer rows, "
                "raise calibration_examples, or set prune.reconstruct to false."
            )

    @property
    def passes(self) -> int:
        """Steps that `score` takes."""
        total = 0
        for start in range(0, len(self.held_out), GROUP):
            group = range(start, min(start + GROUP, len(self.held_out)))
            lengths = [int(self.held_out.lengths[place]) for place in group]
            total += len(plan(lengths, self.spec.micro_batch_tokens, packing=True))
        return total

    def score(self, model: nn.Module) -> dict[str, float]:
        """Loss, perplexity and token accuracy on the held-out rows, metered."""
        total, start = Score(), self.step
        budget = self.spec.micro_batch_tokens
        for score in self.task.scores(model, self.held_out, budget, self.device):
            total += score
            self.advance({})
        self.used(MEASURED, (start, self.step), total.tokens)
        return self.task.metrics(total)

    def calibrated(self, start: int) -> None:
        """Meter one use of the calibration rows, over the steps since `start`."""
        self.used(MEASURED, (start, self.step), self.calibration_tokens)

    def used(self, part: str, steps: tuple[int, int], tokens: int, seconds: float = 0.0) -> None:
        """Report tokens of the steps (first, second]."""
        flops = FORWARD * parameter_count(self.dense) * tokens
        start, stop = steps
        self.progress.used(f"{self.work.key}:{part}", start, start, stop, tokens, seconds, flops)

    def advance(self, metrics: Mapping[str, float], *, snapshot_due: bool = False) -> None:
        """One step further: tell it, and obey the answer.

        Raises:
            Stopped: the answer was to pause or to cancel.
        """
        self.step += 1
        command = self.progress.beat(
            self.work.key, self.step, self.of, {"step": self.step}, {**self.metrics, **metrics}
        )
        if command is Command.CANCEL:
            raise Stopped(Outcome.CANCELLED)
        if snapshot_due or command in (Command.SNAPSHOT, Command.PAUSE):
            self.on_pause()
        if command in STOPS:
            raise Stopped(STOPS[command])

    def say(self, message: str, data: Mapping[str, Any], *, level: str = "info") -> None:
        self.progress.event(self.work.key, level, message, data)
