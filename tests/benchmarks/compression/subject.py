"""The language model that compressions are measured on, and its unseen rows.

A Llama of 8 query heads in 4 groups, so that 25 % and 50 % of its key/value heads are whole
numbers. It learns from the training rows alone; validation rows choose learning rates, test rows
are what is reported. Built once a machine, and kept under `$BREAKWATER_VAR/bench`.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from tests.benchmarks.compression.text import parts
from tests.workers.engine.factories import Recorder, handle, write_jsonl
from workers.engine.base.build import Size, base_build
from workers.engine.compression.bench import Bench
from workers.engine.compression.specs import CompressSpec
from workers.engine.protocol import CompressWork

SEEDS = int(os.environ.get("BENCH_SEEDS", "5"))  # draws of the calibration rows and of the order
SIZE = Size(hidden=144, heads=8, kv_heads=4, spread=1 / 12)  # 144: a multiple of 8, 6 and 4
READ = 600  # training rows of a draw: more than any recovery here learns from
SCORED = {"validation": 40, "test": 80}  # rows
ROOT = Path(__file__).parents[3]
VAR = Path(os.environ.get("BREAKWATER_VAR", ROOT / "var")) / "bench"


def subject(size: Size = SIZE) -> Path:
    """The base model's folder, with its rows beside it."""
    folder = VAR / f"subject-{size.hidden}-{size.heads}-{size.kv_heads}"
    if not folder.is_dir():
        base_build(folder, lambda _: None, size=size, data=_rows("train"))
    return folder


def trained_tokens(size: Size = SIZE) -> int:
    """What the subject learned from, each pass counted."""
    tokenizer = Tokenizer.from_file(str(subject(size) / "tokenizer.json"))
    rows = tokenizer.encode_batch([row["text"] for row in _rows("train")])
    return size.epochs * sum(len(row.ids) + 1 for row in rows)  # and an end token


def _rows(part: str) -> list[dict[str, str]]:
    """Read off Python's files once a machine: that takes longer than most that follows."""
    path = VAR / "text.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(parts()))
    return [{"text": text} for text in json.loads(path.read_text())[part]]


@dataclass(frozen=True)
class Subject:
    """The model of one draw, its rows, and how it is measured."""

    bench: Bench
    test: Bench  # whose held-out rows are the test rows

    @property
    def dense(self) -> nn.Module:
        return self.bench.dense

    def validation_perplexity(self, model: nn.Module) -> float:
        return self.bench.score(model)["perplexity"]

    def perplexity(self, model: nn.Module) -> float:
        """On the test rows."""
        return self.test.score(model)["perplexity"]


@contextmanager
def draw(spec: CompressSpec, seed: int, size: Size = SIZE) -> Iterator[Subject]:
    """The subject with training rows of the seed's own, in an order of its own."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train = _rows("train")
        order = np.random.default_rng(seed).permutation(len(train))[:READ]
        data = write_jsonl(folder / "train.jsonl", [train[place] for place in order])
        benches = {}
        for part, count in SCORED.items():
            held_out = write_jsonl(folder / f"{part}.jsonl", _rows(part)[:count])
            work = CompressWork(
                base=handle(subject(size)),
                key=part,
                spec=spec,
                data=handle(data),
                scratch=folder / part,
                validation=handle(held_out),
            )
            benches[part] = Bench(work, Recorder(folder))
        yield Subject(benches["validation"], benches["test"])


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each figure that runs have."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: statistics.median(r[name] for r in runs if name in r) for name in names}
