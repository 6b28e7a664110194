"""Recovery: the compressed model learns from the dense one (Hinton et al. 2015, 1503.02531).

The loss is, per learned token (text, row), logits·T²·KL(teacher ‖ student) + labels·the task's
own + hidden·(squared error of the layers' outputs, relative to the teacher's size). Where outputs
are vectors or quantities, no distribution, their squared distance takes the divergence's place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, mse_loss

from workers.engine.compression.part import Part
from workers.engine.compression.specs import RecoverSpec
from workers.engine.compression.subjects import Subject
from workers.engine.data.order import epoch_order
from workers.engine.errors import DivergedError
from workers.engine.models import blocks_of
from workers.engine.specs import FineTuneSpec
from workers.engine.training.optim import AdamW
from workers.engine.training.schedule import learning_rate


@dataclass(frozen=True)
class Step:
    """One update that was made."""

    loss: float
    tokens: int


def updates_within(lengths: Sequence[int], spec: RecoverSpec) -> list[list[int]]:
    """The examples of each update, in a seeded order, within the budget of tokens.

    Passes over the data are repeated while the budget lasts; a budget smaller than one update still
    buys one, of as many examples as fit, at least one.
    """
    updates: list[list[int]] = []
    left, epoch = spec.tokens, 0
    current: list[int] = []
    while left > 0:
        for example in map(int, epoch_order(spec.seed, epoch, len(lengths))):
            left -= int(lengths[example])
            if left < 0 and (updates or current):
                return [*updates, current] if current and not updates else updates
            current.append(example)
            if len(current) == spec.batch_size:
                updates.append(current)
                current = []
        epoch += 1
    return [*updates, current] if current else updates


class Recovery:
    """The student's training under way."""

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        layers: Sequence[int],
        data: Part,
        spec: RecoverSpec,
        device: str,
        subject: Subject,
    ) -> None:
        """`layers` are the teacher's layers that the student still has."""
        self.subject, self.task = subject, subject.task
        self.student, self.teacher, self.layers = student, teacher, layers
        self.data, self.spec, self.device = data, spec, device
        student.requires_grad_(requires_grad=True)
        self.parameters = dict(student.named_parameters())
        self.settings = FineTuneSpec(
            method="full",
            learning_rate=spec.learning_rate,
            warmup_fraction=spec.warmup_fraction,
            schedule="cosine",
        )
        self.optimiser = AdamW(list(self.parameters.values()), self.settings)

    def update(self, examples: Sequence[int], number: int, of: int) -> Step:
        """Update `number` (from 0) of `of`, on these examples.

        Raises:
            DivergedError: the loss or the gradient is no number; the weights are as before.
        """
        places = [self.data.places[example] for example in examples]
        budget = self.spec.micro_batch_tokens
        batches = self.task.micro_batches(self.data.data, places, budget, packing=True)
        total = sum(batch.weight for batch in batches)
        loss = 0.0
        for batch in batches:
            part = self._loss(batch, total)
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.item()
        norm = self.optimiser.gather()
        if not torch.isfinite(torch.tensor([loss, norm])).all():
            self.optimiser.clear()
            raise DivergedError(
                f"the recovery's loss is {loss} at update {number + 1}; lower "
                f"recover.learning_rate (now {self.spec.learning_rate:g})."
            )
        self.optimiser.clip(norm, self.settings.gradient_clip)
        self.optimiser.step(learning_rate(self.settings, number, of))
        return Step(loss, sum(batch.tokens for batch in batches))

    def _loss(self, batch: Any, total: int) -> Tensor:
        compared = self.layers if self.spec.hidden else ()
        with outputs_of(self.teacher, compared) as wanted, torch.no_grad():
            theirs = self.task.outputs(self.teacher, batch, self.device)
        with outputs_of(self.student, range(len(compared))) as found:
            ours = self.task.outputs(self.student, batch, self.device)
        loss = ours.new_zeros(())
        if self.spec.logits:
            loss = loss + self.spec.logits * self._distance(ours, theirs) / total
        if self.spec.labels:
            loss = loss + self.spec.labels * self.task.loss_of(ours, batch)[0] / total
        if self.spec.hidden:
            share = batch.weight / total
            loss = loss + self.spec.hidden * share * _hidden_error(found, wanted)
        return loss

    def _distance(self, ours: Tensor, theirs: Tensor) -> Tensor:
        if self.subject.is_distribution:
            return distance(ours, theirs, self.spec.temperature)
        return mse_loss(ours.float(), theirs.float(), reduction="sum")


def distance(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Σ over rows of T²·KL(softmax(teacher/T) ‖ softmax(student/T)), logits (rows, vocabulary)."""
    ours = (student.float() / temperature).log_softmax(-1)
    theirs = (teacher.float() / temperature).log_softmax(-1)
    return temperature**2 * kl_div(ours, theirs, reduction="sum", log_target=True)


def _hidden_error(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    errors = [
        mse_loss(ours, theirs) / theirs.square().mean().clamp_min(1e-12)
        for ours, theirs in zip(found, wanted, strict=True)
    ]
    return torch.stack(errors).mean()


@contextmanager
def outputs_of(model: nn.Module, layers: Sequence[int]) -> Iterator[list[Tensor]]:
    """Each call's outputs of these layers, in order, while the context is open."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _args: Any, output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)

    hooks = [blocks_of(model)[layer].register_forward_hook(keep) for layer in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
