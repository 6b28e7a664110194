"""Whole small runs of different make, against what a profile says of them: how far it is off.

Real updates on made-up examples (log-normal lengths, part of each learned), so that a quote's
bounds are measured ones.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from workers.engine.data.readers import Example
from workers.engine.data.shards import Shards
from workers.engine.fitting import bounded
from workers.engine.kernels.block import fast_blocks
from workers.engine.methods.method import method_open
from workers.engine.models import config_of, context_length, shape_of
from workers.engine.profiles import DataSize, Profile, run_s
from workers.engine.protocol import JSONL, Handle, Member, Numerics
from workers.engine.specs import FineTuneSpec
from workers.engine.tasks.text_generation import TextGeneration
from workers.engine.training.activation import checkpointing
from workers.engine.training.member import Run

UPDATES = 3  # of each run, after a first
DEVIATION = 0.6  # of the logarithm of lengths


@dataclass(frozen=True)
class Sample:
    """A run to make: examples an update, tokens a pass, a typical length, the learned part."""

    batch: int
    pass_tokens: int
    typical: int
    learned: float
    rank: int = 16
    checkpointing: str = "none"


SAMPLES = (
    Sample(1, 2048, 60, 0.5, rank=2),
    Sample(4, 2048, 30, 0.8, rank=4),
    Sample(8, 256, 40, 0.3),
    Sample(8, 2048, 60, 0.6, rank=64),
    Sample(4, 1024, 120, 0.4, checkpointing="selective"),
    Sample(2, 128, 90, 0.9, rank=8),
    Sample(16, 1024, 40, 0.5),
    Sample(2, 2048, 25, 0.4, rank=64, checkpointing="full"),
    Sample(4, 2048, 100, 0.5, checkpointing="full"),
)


def calibrated(
    model: nn.Module, base: Path, spec: FineTuneSpec, profile: Profile, clock: Callable[[], float]
) -> Profile:
    """The profile with the quantiles of real over computed seconds of the SAMPLES."""
    return bounded(
        profile,
        [
            ratio(model, base, spec, profile, clock, sample, seed)
            for seed, sample in enumerate(SAMPLES)
        ],
    )


def ratio(
    model: nn.Module,
    base: Path,
    spec: FineTuneSpec,
    profile: Profile,
    clock: Callable[[], float],
    sample: Sample,
    seed: int,
) -> float:
    """Seconds of a few updates over what the profile computes for them."""
    asked = replace(
        spec,
        lora=replace(spec.lora, rank=sample.rank),
        batch_size=sample.batch,
        micro_batch_tokens=sample.pass_tokens,
        activation_checkpointing=sample.checkpointing,
        epochs=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        data = _examples(model, sample, Path(folder), seed)
        mode = sample.checkpointing
        with (
            fast_blocks(model, selective=mode == "selective"),
            checkpointing(model, mode),
            method_open(model, asked, base, None) as method,
        ):
            member = Member("", asked, Handle(base, JSONL, ""))
            task = TextGeneration(base, asked)
            numerics = Numerics(profile.dtype, profile.threads, profile.device)
            run = Run(member, task, method, data, None, numerics)
            run.update()
            begin = clock()
            done = [run.update() for _ in range(UPDATES)]
            real = clock() - begin
    tokens, learned = sum(each.tokens for each in done), sum(each.weight for each in done)
    size = DataSize(sample.batch * UPDATES, tokens, learned)
    return real / run_s(asked, shape_of(model), size, profile)


def _examples(model: nn.Module, sample: Sample, folder: Path, seed: int) -> Shards:
    draws, config = np.random.default_rng(seed), config_of(model)
    count = sample.batch * (UPDATES + 1)
    longest = min(context_length(config), 4 * sample.typical)
    lengths = np.exp(draws.normal(np.log(sample.typical), DEVIATION, count)).clip(4, longest)
    examples = []
    for line, length in enumerate(lengths.astype(int), 1):
        learned = max(1, int(length * sample.learned))
        ids = draws.integers(config.vocab_size, size=length).tolist()
        examples.append(Example(line, ids, [0] * (int(length) - learned) + [1] * learned))
    return Shards.write(examples, folder, vocabulary=config.vocab_size)
