"""One member's run: data, trainable weights, optimiser, position, and one update at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from workers.engine.data.order import epoch_order
from workers.engine.data.packing import Ints
from workers.engine.errors import DivergedError, EngineError, ModelError, OutOfMemoryError
from workers.engine.methods.method import Method
from workers.engine.protocol import Member, Numerics
from workers.engine.tasks.scores import Score
from workers.engine.tasks.task import Data, MicroBatch, Task
from workers.engine.training.optim import OPTIMISERS
from workers.engine.training.precision import Precision
from workers.engine.training.ranks import ALONE, Ranks
from workers.engine.training.schedule import learning_rate
from workers.engine.training.snapshots import Origin, snapshot_read, snapshot_write
from workers.engine.training.state import State


@dataclass(frozen=True)
class Update:
    """What one update saw.

    `loss` is the mean over `weight` terms, of `tokens` tokens; `measured` are the task's metrics,
    `gradient_norm` is that before clipping.
    """

    loss: float
    measured: Mapping[str, float]
    gradient_norm: float
    learning_rate: float
    tokens: int
    weight: int
    seconds: float
    halved_to: int = 0  # tokens per forward pass from now on, if memory ran out

    def metrics(self) -> dict[str, float]:
        return {
            **self.measured,
            "loss": self.loss,
            "grad_norm": self.gradient_norm,
            "learning_rate": self.learning_rate,
            "tokens": float(self.tokens),
            "loss_tokens": float(self.weight),
        }


class Run:
    """A member in training: all that happens is a function of spec, data and `state.step`."""

    def __init__(
        self,
        member: Member,
        task: Task,
        method: Method,
        data: Data,
        validation: Data | None,
        numerics: Numerics,
        ranks: Ranks = ALONE,
    ) -> None:
        spec = member.spec
        self.member, self.spec, self.ranks = member, spec, ranks
        self.device = numerics.device
        self.precision = Precision(numerics, spec.method, ranks)
        self.task, self.method = task, method
        self.data, self.validation = data, validation
        self.model = method.model
        self.parameters = ranks.parts(method.parameters)
        self.optimiser = OPTIMISERS[spec.optimiser](
            list(self.parameters.values()), spec, join=ranks.count == 1
        )
        self.state = State(micro_batch_tokens=spec.micro_batch_tokens)
        self._order: tuple[int, Ints] | None = None

    @cached_property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.data) / self.spec.batch_size)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.spec.epochs

    @property
    def cursor(self) -> dict[str, int]:
        """How far the run is, for the outside.

        Epochs done, examples done in this one, tokens evaluated so far.
        """
        epoch, place = divmod(self.state.step, self.steps_per_epoch)
        example = min(place * self.spec.batch_size, len(self.data))
        return {"epoch": epoch, "example": example, "evaluated": self.state.evaluated}

    @property
    def round_is_open(self) -> bool:
        """Whether an evaluation point is reached and not closed yet.

        There is one before training, and one at each epoch's end.
        """
        return self.state.closed <= self.state.step // self.steps_per_epoch

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to train or to evaluate."""
        if self.state.stopped_early:
            return True
        return self.state.step >= self.steps and not self.round_is_open

    def note_validation(self, loss: float) -> bool:
        """Remember the best validation loss; returns whether patience has just ended."""
        state = self.state
        if state.best_loss is None or loss < state.best_loss:
            state.best_loss, state.best_step, state.worse_rounds = loss, state.step, 0
        else:
            state.worse_rounds += 1
        ended = 0 < self.spec.patience <= state.worse_rounds and state.step < self.steps
        state.stopped_early = state.stopped_early or ended
        return ended

    def update(self) -> Update:
        """Train on the next `batch_size` examples.

        The weights change only if loss and gradient are finite.

        Raises:
            DivergedError: they are not.
            ModelError: they are not, before any update.
            OutOfMemoryError: not even one example fits.
        """
        before = self.state.micro_batch_tokens
        score, seconds = self._gradient_that_fits()
        while not self.precision.unscale(self.parameters.values()):
            self.optimiser.clear()  # passes add to what is there
            score, again = self._gradient_that_fits()
            seconds += again
        halved = self.state.micro_batch_tokens < before
        return self.conclude(score, seconds, halved_to=self.state.micro_batch_tokens * halved)

    def conclude(self, score: Score, seconds: float, *, halved_to: int = 0) -> Update:
        """Take the update's step with the gradient that was formed in `seconds`.

        Raises:
            DivergedError, ModelError: loss or gradient is not finite; nothing has changed.
        """
        begin = time.perf_counter()
        rate = learning_rate(self.spec, self.state.step, self.steps)
        norm = self.ranks.norm(self.optimiser.gather())
        if not math.isfinite(score.loss) or not math.isfinite(norm):
            self.optimiser.clear()
            raise self._divergence(score.loss, norm)
        self.optimiser.clip(norm, self.spec.gradient_clip)
        self.optimiser.step(rate)
        done = Update(
            loss=score.loss,
            measured=self.task.metrics(score),
            gradient_norm=norm,
            learning_rate=rate,
            tokens=score.tokens,
            weight=score.weight,
            seconds=seconds + time.perf_counter() - begin,
            halved_to=halved_to,
        )
        self._advance(done)
        return done

    def _advance(self, done: Update) -> None:
        self.state.step += 1
        self.state.trained_tokens += done.tokens
        self.state.epoch_loss += done.loss * done.weight
        self.state.epoch_loss_tokens += done.weight

    def _divergence(self, loss: float, norm: float) -> EngineError:
        what, value = ("gradient", norm) if math.isfinite(loss) else ("loss", loss)
        where = f"the {what} of step {self.state.step + 1} is {value}"
        if self.state.step == 0:
            return ModelError(f"{where} before any update: the base model is broken; try another.")
        return DivergedError(
            f"{where}; the weights are those after step {self.state.step}. Lower learning_rate "
            f"(now {self.spec.learning_rate:g}), add warmup_fraction, or set gradient_clip "
            f"(now {self.spec.gradient_clip:g})."
        )

    def check_weights(self) -> None:
        """Make sure that the last updates did not break the weights.

        Raises:
            DivergedError: a weight is no number.
        """
        if self.ranks.most(not self.optimiser.finite()):
            raise DivergedError(
                f"step {self.state.step} broke the weights; lower learning_rate, or set "
                "gradient_clip."
            )

    def _gradient_that_fits(self) -> tuple[Score, float]:
        """Accumulate the update's gradient, in smaller passes when memory runs out.

        The result is the same. Returns also the seconds that it took.
        """
        while True:
            begin = time.perf_counter()
            batches = self.micro_batches()
            try:
                score = self._gradient(batches)
            except (RuntimeError, MemoryError) as error:
                self.optimiser.clear()
                if not is_out_of_memory(error):
                    raise
                self.halve(batches, error)
            else:
                return score, time.perf_counter() - begin

    def halve(self, batches: Sequence[MicroBatch], error: BaseException) -> None:
        """Make passes half as long from now on.

        Raises:
            OutOfMemoryError: each holds one example already, or cannot be shorter.
            RuntimeError: other processes wait in the middle of this pass.
        """
        if self.ranks.count > 1:
            raise RuntimeError(
                f"memory ran out in a pass of {max(b.tokens for b in batches)} tokens; lower "
                "micro_batch_tokens, or set activation_checkpointing to full"
            ) from error
        longest = max(b.tokens for b in batches)
        if all(b.examples == 1 for b in batches) or self.state.micro_batch_tokens == 1:
            raise OutOfMemoryError(
                f"one example of {longest} tokens does not fit in memory; lower "
                "max_length, or set activation_checkpointing to full."
            ) from error
        self.state.micro_batch_tokens = max(1, min(self.state.micro_batch_tokens, longest) // 2)

    def _gradient(self, batches: Sequence[MicroBatch]) -> Score:
        """Accumulate the gradient of the mean loss over the whole weight of the update."""
        ranks = self.ranks
        weight = ranks.sum(sum(b.weight for b in batches))
        self.method.clock.step = self.state.step
        total = Score()
        for number in range(ranks.most(len(batches))):
            self.method.clock.micro_batch = number * ranks.count + ranks.number
            counts = number < len(batches)
            each = batches[number] if counts else self._spare()
            with self.precision.computing():
                loss, sums = self.task.loss(self.model, each, self.device)
            # a pass to keep other processes company, which have one more, adds nothing
            part = self.precision.scaled(loss / weight if counts else loss * 0)
            part.backward()  # type: ignore[no-untyped-call]
            own = Score.of(each, loss, sums)
            total += own if counts else own.nothing()
        ranks.gather_gradients()
        return ranks.total(total)

    def _spare(self) -> MicroBatch:
        """The shortest example of all, to keep company with."""
        shortest = int(self.data.lengths.argmin())
        found: list[MicroBatch] = self.task.micro_batches(
            self.data, [shortest], 1, packing=self.spec.packing
        )
        return found[0]

    def micro_batches(self) -> list[MicroBatch]:
        """What the next update trains on here, pass by pass."""
        epoch, place = divmod(self.state.step, self.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, epoch_order(self.spec.seed, epoch, len(self.data)))
        size = self.spec.batch_size
        chosen = self._order[1][place * size : (place + 1) * size]
        own = self.ranks.share(chosen.tolist(), self.data.lengths[chosen])
        return self.task.micro_batches(
            self.data, own, self.state.micro_batch_tokens, packing=self.spec.packing
        )

    def snapshot(self, folder: Path, origin: Origin) -> None:
        """Write where this run stands; the first process does."""
        self.state.scaling = self.precision.state()
        snapshot_write(folder, self.parameters, self.optimiser, self.state, origin, self.ranks)

    def save(self, folder: Path) -> None:
        """Write the model as it is now; the first process does."""
        weights = self.ranks.wholes(self.parameters)
        if self.ranks.is_first:
            self.method.save(folder, weights)

    def resume(self, folder: Path, origin: Origin) -> bool:
        """Go back to where a snapshot stood; returns whether going on will be bit-equal."""
        self.state, equal = snapshot_read(
            folder, self.parameters, self.optimiser, origin, self.ranks
        )
        self.precision.load(self.state.scaling)
        return equal

    def epoch_metrics(self) -> Mapping[str, float]:
        """The mean training loss of the epoch that ends now; starts the next epoch's sum."""
        mean = self.state.epoch_loss / max(self.state.epoch_loss_tokens, 1)
        self.state.epoch_loss, self.state.epoch_loss_tokens = 0.0, 0
        return {"train_loss": mean}


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return any(words in str(error) for words in ("not enough memory", "can't allocate memory"))
