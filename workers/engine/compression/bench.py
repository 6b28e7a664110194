"""What every compression works on: the dense model, rows to calibrate with, rows to measure on.

It also keeps the count of steps, meters them, and obeys the answers to beats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from workers.engine.compression.calibration import Calibration, Sample
from workers.engine.compression.part import Part
from workers.engine.compression.quantise.files import quantised_config
from workers.engine.compression.subjects import subject_open
from workers.engine.data.order import epoch_order
from workers.engine.errors import DataError, ModelError
from workers.engine.export.merged import merge_into
from workers.engine.methods.lora.adapter import adapter_load
from workers.engine.protocol import MEASURED, Command, CompressWork, Handle, Outcome, Progress
from workers.engine.tasks.scores import Score, groups_of
from workers.engine.tasks.task import Data
from workers.engine.training.session import STOPS

FEWEST_ROWS = 2  # to calibrate with; one more is held out


class Stopped(Exception):
    """The outside asked to stop."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Bench:
    """One compression's models, data and standing."""

    def __init__(self, work: CompressWork, progress: Progress) -> None:
        """Open everything.

        Raises:
            EngineError: the model, the data or an adapter cannot be used.
        """
        self.work, self.spec, self.progress = work, work.spec, progress
        self.device = work.numerics.device
        if quantised_config(work.base.path):
            raise ModelError(
                f"{work.base.path.name} is quantised already; compress the model that it was made "
                "from."
            )
        self.subject = subject_open(work.base.path, work.spec)
        self.task = self.subject.task
        self.dense = self.task.model(work.numerics)
        if work.adapter:
            merge_into(self.dense, adapter_load(work.adapter.path))
        self.flops = self.task.flops_per_token(self.dense, training=False)
        self.data, self.held_out = self._data()
        self.calibration = self.calibrate_by(self.spec.calibration_rows)
        self.probe = self.subject.probe(self.dense, self.held_out, self.device)
        self.step, self.of, self.metrics = 0, 0, dict[str, float]()
        # writes a snapshot, where there is a point
        self.on_pause: Callable[[], None] = lambda: None

    def _data(self) -> tuple[Part, Part]:
        def read(handle: Handle, name: str) -> Data:
            return self.task.read(handle.path, self.work.scratch / "data" / name, training=False)

        data = read(self.work.data, "train")
        if self.work.validation:
            other = read(self.work.validation, "validation")
            return self._enough(data, range(len(data))), Part(other, tuple(range(len(other))))
        order = [int(place) for place in epoch_order(0, 0, len(data))]
        held = max(1, round(len(order) * self.spec.held_out))
        return self._enough(data, sorted(order[held:])), Part(data, tuple(sorted(order[:held])))

    def _enough(self, data: Data, places: Sequence[int]) -> Part:
        if len(places) < FEWEST_ROWS:
            raise DataError(
                f"{len(places)} rows are too few to calibrate with; give at least {FEWEST_ROWS}, "
                "and one more to measure on."
            )
        return Part(data, tuple(places))

    @property
    def samples(self) -> Sequence[Sample]:
        return self.calibration.samples

    def calibrate_by(self, count: int) -> Calibration:
        """The first rows, at most `count`, of a fixed order, as batches."""
        order = epoch_order(1, 0, len(self.data))[:count]
        rows = [self.data.places[int(place)] for place in order]
        passes = self.subject.passes(self.data.data, rows, self.spec.micro_batch_tokens)
        lengths = [int(self.data.data.lengths[row]) for row in rows]
        return Calibration([self._sample(batch) for batch in passes], lengths)

    def _sample(self, batch: Any) -> Sample:
        task, subject, device = self.task, self.subject, self.device

        def forward(model: nn.Module) -> Tensor:
            return subject.forward(model, batch, device)

        def loss(model: nn.Module) -> Tensor:
            summed, _ = task.loss_of(task.outputs(model, batch, device), batch)
            return summed / int(batch.weight)

        return Sample(forward, loss, subject.real(batch))

    def require_rows(self, inputs: int) -> None:
        """Refuse to solve for more weights than there are positions to solve them from.

        Raises:
            DataError: fewer calibration tokens (rows of a table) than `inputs` of the widest layer.
        """
        found, unit = self.subject.positions(self.calibration.lengths), self.subject.unit
        if found < inputs:
            raise DataError(
                f"least squares over {inputs:,} inputs needs at least as many {unit}; the "
                f"calibration rows have {found:,}. Give more or longer rows, "
                "raise calibration_examples, or set prune.reconstruct to false."
            )

    @cached_property
    def passes(self) -> int:
        """Steps that `score` takes."""
        budget, held = self.spec.micro_batch_tokens, self.held_out
        found = sum(
            len(self.task.micro_batches(held.data, group, budget, packing=True))
            for group in groups_of(held.data, held.places)
        )
        return found + self.subject.closing_scores

    def score(self, model: nn.Module) -> dict[str, float]:
        """The task's metrics on the held-out rows, metered."""
        total, start = Score(), self.step
        for score in self.scores(model, self.held_out):
            total += score
            self.advance({})
        self.used(MEASURED, (start, self.step), total.tokens)
        return self.task.metrics(total)

    def scores(self, model: nn.Module, part: Part) -> Any:
        """One score per forward pass over some rows."""
        budget = self.spec.micro_batch_tokens
        return self.task.scores(model, part.data, budget, self.device, chosen=part.places)

    def calibrated(self, start: int, calibration: Calibration) -> None:
        """Meter one use of calibration rows, over the steps since `start`."""
        self.used(MEASURED, (start, self.step), sum(calibration.lengths))

    def used(self, part: str, steps: tuple[int, int], tokens: int, seconds: float = 0.0) -> None:
        """Report tokens of the steps (first, second]."""
        start, stop = steps
        flops = self.flops * tokens
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
