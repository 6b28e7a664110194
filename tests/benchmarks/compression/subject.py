"""The language model that compressions are measured on, and its unseen rows.

A Llama of 8 query heads in 4 groups, so that 25 % and 50 % of its key/value heads are whole numbers.
It learns from the training rows alone; validation rows choose learning rates, test rows are what is
reported. Built once a machine, and kept under `$BREAKWATER_VAR/bench`.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.benchmarks.compression.text import parts
from tests.workers.engine.factories import Recorder, handle, write_jsonl
from workers.engine.base.build import Size, base_build
from workers.engine.compression.bench import Bench
from workers.engine.compression.specs import CompressSpec
from workers.engine.data.shards import Shards
from workers.engine.protocol import CompressWork
from workers.engine.tasks.scores import Score

SEEDS = int(os.environ.get("BENCH_SEEDS", "5"))  # draws of the calibration rows and of the order
SIZE = Size(heads=8, kv_heads=4)
VAR = Path(os.environ.get("BREAKWATER_VAR", Path(__file__).parents[3] / "var")) / "bench"


def subject() -> Path:
    """The base model's folder."""
    folder = VAR / "subject"
    if not folder.is_dir():
        base_build(folder, lambda _: None, size=SIZE, data=_rows("train"))
    return folder


@dataclass(frozen=True)
class Subject:
    """The model of one draw, its rows, and how it is measured."""

    bench: Bench
    test: Shards

    @property
    def dense(self) -> nn.Module:
        return self.bench.dense

    @property
    def training_tokens(self) -> int:
        """What the model learned from, each pass counted."""
        return SIZE.epochs * self.bench.data.sizes.tokens

    def validation_perplexity(self, model: nn.Module) -> float:
        return self._perplexity(model, self.bench.held_out)

    def perplexity(self, model: nn.Module) -> float:
        """On the test rows."""
        return self._perplexity(model, self.test)

    def _perplexity(self, model: nn.Module, rows: Shards) -> float:
        bench = self.bench
        scores = bench.task.scores(model, rows, bench.spec.micro_batch_tokens, bench.device)
        return math.exp(sum(scores, Score()).loss)


def draws(spec: CompressSpec, seeds: int = SEEDS) -> Iterator[Subject]:
    """The subject, once a seed: each has training rows in an order of its own."""
    torch.set_num_threads(1)
    for seed in range(seeds):
        with draw(spec, seed) as found:
            yield found


@contextmanager
def draw(spec: CompressSpec, seed: int) -> Iterator[Subject]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train = _rows("train")
        order = np.random.default_rng(seed).permutation(len(train))
        data = write_jsonl(folder / "train.jsonl", [train[place] for place in order])
        validation = write_jsonl(folder / "validation.jsonl", _rows("validation"))
        work = CompressWork(
            handle(subject()), "bench", spec, handle(data), folder / "scratch", handle(validation)
        )
        bench = Bench(work, Recorder(folder))
        path = write_jsonl(folder / "test.jsonl", _rows("test"))
        yield Subject(bench, bench.task.read(path, folder / "test", training=False))


def _rows(part: str) -> list[dict[str, str]]:
    return [{"text": text} for text in parts()[part]]


def say(found: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each figure that runs have."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: statistics.median(r[name] for r in runs if name in r) for name in names}
