"""One member's run: data, trainable weights, optimiser, position, and one update at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from workers.engine.data.order import epoch_order
from workers.engine.data.packing import Ints, Pack, pack, plan
from workers.engine.data.shards import Shards
from workers.engine.errors import DivergedError, EngineError, ModelError, OutOfMemoryError
from workers.engine.losses import batch_loss
from workers.engine.methods.method import Method
from workers.engine.models import Batch
from workers.engine.protocol import Member
from workers.engine.training.optim import OPTIMISERS
from workers.engine.training.schedule import learning_rate
from workers.engine.training.snapshots import Origin, snapshot_read, snapshot_write
from workers.engine.training.state import State


@dataclass(frozen=True)
class Update:
    """What one update saw.

    `loss` is the mean over `loss_tokens` of its `tokens`; `gradient_norm` is that before clipping.
    """

    loss: float
    accuracy: float
    gradient_norm: float
    learning_rate: float
    tokens: int
    loss_tokens: int
    seconds: float
    halved_to: int = 0  # tokens per forward pass from now on, if memory ran out

    def metrics(self) -> dict[str, float]:
        return {
            "loss": self.loss,
            "token_accuracy": self.accuracy,
            "grad_norm": self.gradient_norm,
            "learning_rate": self.learning_rate,
            "tokens": float(self.tokens),
            "loss_tokens": float(self.loss_tokens),
        }


@dataclass(frozen=True)
class Gathered:
    """One update's gradient, formed from `packs` in `seconds`: mean loss, and right guesses."""

    packs: Sequence[Pack]
    loss: float
    hits: int
    seconds: float


class Run:
    """A member in training: all that happens is a function of spec, data and `state.step`."""

    def __init__(
        self, member: Member, method: Method, data: Shards, validation: Shards | None, device: str
    ) -> None:
        spec = member.spec
        self.member, self.spec, self.method, self.device = member, spec, method, device
        self.data, self.validation = data, validation
        self.model = method.model
        self.parameters = dict(method.parameters)
        self.optimiser = OPTIMISERS[spec.optimiser](list(self.parameters.values()), spec)
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
        gathered = self._gradient_that_fits()
        halved = self.state.micro_batch_tokens < before
        return self.conclude(gathered, halved_to=self.state.micro_batch_tokens * halved)

    def conclude(self, gathered: Gathered, *, halved_to: int = 0) -> Update:
        """Take the update's step with the gradient that was formed.

        Raises:
            DivergedError, ModelError: loss or gradient is not finite; nothing has changed.
        """
        begin = time.perf_counter()
        rate = learning_rate(self.spec, self.state.step, self.steps)
        norm = self.optimiser.gather()
        if not math.isfinite(gathered.loss) or not math.isfinite(norm):
            self.optimiser.clear()
            raise self._divergence(gathered.loss, norm)
        self.optimiser.clip(norm, self.spec.gradient_clip)
        self.optimiser.step(rate)
        loss_tokens = sum(len(p.labels) for p in gathered.packs)
        done = Update(
            loss=gathered.loss,
            accuracy=gathered.hits / loss_tokens,
            gradient_norm=norm,
            learning_rate=rate,
            tokens=sum(len(p.ids) for p in gathered.packs),
            loss_tokens=loss_tokens,
            seconds=gathered.seconds + time.perf_counter() - begin,
            halved_to=halved_to,
        )
        self._advance(done)
        return done

    def _advance(self, done: Update) -> None:
        self.state.step += 1
        self.state.trained_tokens += done.tokens
        self.state.epoch_loss += done.loss * done.loss_tokens
        self.state.epoch_loss_tokens += done.loss_tokens

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
        if not self.optimiser.finite():
            raise DivergedError(
                f"step {self.state.step} broke the weights; lower learning_rate, or set "
                "gradient_clip."
            )

    def _gradient_that_fits(self) -> Gathered:
        """Accumulate the update's gradient, in smaller packs when memory runs out.

        The result is the same.
        """
        while True:
            begin = time.perf_counter()
            packs = self.packs()
            try:
                loss, hits = self._gradient(packs)
            except (RuntimeError, MemoryError) as error:
                self.optimiser.clear()
                if not is_out_of_memory(error):
                    raise
                self.halve(packs, error)
            else:
                return Gathered(packs, loss, hits, time.perf_counter() - begin)

    def halve(self, packs: Sequence[Pack], error: BaseException) -> None:
        """Make packs half as long from now on.

        Raises:
            OutOfMemoryError: each holds one example already.
        """
        longest = max(len(p.ids) for p in packs)
        if all(len(p.bounds) == 2 for p in packs):
            raise OutOfMemoryError(
                f"one example of {longest} tokens does not fit in memory; lower "
                "max_length, or set activation_checkpointing to full."
            ) from error
        self.state.micro_batch_tokens = max(1, min(self.state.micro_batch_tokens, longest) // 2)

    def _gradient(self, packs: Sequence[Pack]) -> tuple[float, int]:
        """Accumulate the gradient of the mean loss over all learned tokens of the update.

        Returns loss and hits.
        """
        total = sum(len(p.labels) for p in packs)
        self.method.clock.step = self.state.step
        loss, hits = 0.0, 0
        for number, each in enumerate(packs):
            self.method.clock.micro_batch = number
            batch = Batch.of(each, self.device)
            part, right = batch_loss(self.model, batch, total)
            hits += right
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.item()
        return loss, hits

    def packs(self) -> list[Pack]:
        """What the next update trains on."""
        epoch, place = divmod(self.state.step, self.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, epoch_order(self.spec.seed, epoch, len(self.data)))
        size = self.spec.batch_size
        chosen = self._order[1][place * size : (place + 1) * size]
        lengths = [int(n) for n in np.take(self.data.lengths, chosen)]
        groups = plan(lengths, self.state.micro_batch_tokens, packing=self.spec.packing)
        return [pack([self.data[int(chosen[index])] for index in group]) for group in groups]

    def snapshot(self, folder: Path, origin: Origin) -> None:
        """Write where this run stands."""
        snapshot_write(folder, self.parameters, self.optimiser, self.state, origin)

    def resume(self, folder: Path, origin: Origin) -> bool:
        """Go back to where a snapshot stood; returns whether going on will be bit-equal."""
        self.state, equal = snapshot_read(folder, self.parameters, self.optimiser, origin)
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
