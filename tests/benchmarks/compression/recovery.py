"""The same recovery for every contender, each at the learning rate that suits it best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from torch import nn

from tests.benchmarks.compression.subject import Subject
from workers.engine.compression.distil import Recovery, updates_within
from workers.engine.compression.specs import RecoverSpec
from workers.engine.models import config_of


def learn(subject: Subject, student: nn.Module, spec: RecoverSpec) -> nn.Module:
    """Train `student` in place, with the dense model as teacher, and return it."""
    bench = subject.bench
    layers = tuple(range(config_of(bench.dense).num_hidden_layers))
    job = Recovery(student, bench.dense, layers, bench.data, spec, bench.device, bench.subject)
    plan = updates_within(cast("list[int]", bench.data.lengths.tolist()), spec)
    for number, examples in enumerate(plan):
        job.update(examples, number, len(plan))
    return student.requires_grad_(requires_grad=False)


def best_rate(
    subject: Subject, make: Callable[[], nn.Module], spec: RecoverSpec, rates: Sequence[float]
) -> float:
    """The learning rate after which `make`'s model does best on the validation rows."""

    def after(rate: float) -> float:
        student = learn(subject, make(), replace(spec, learning_rate=rate))
        return subject.validation_perplexity(student)

    return min(rates, key=after)
