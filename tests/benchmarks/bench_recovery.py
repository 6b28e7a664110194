"""Recovery: 30% of the MLP channels removed, then a tenth of training's tokens, beside the dense
model with the same tokens.

    python -m tests.benchmarks bench_recovery

Both learn from the same rows in the same order at the same peak learning rate, the best of
`RATES` for the dense model; the pruned one also from the dense one's logits. Perplexity is on rows
that neither saw. The target is 1.05 × that of the dense model. `BENCH_SEEDS` draws (5 by default).
"""

from __future__ import annotations

import copy
import os
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from tests.benchmarks.bench_compression import SEEDS, bench_of, perplexity, say
from workers.engine.base.build import base_build
from workers.engine.compression.bench import Bench
from workers.engine.compression.distil import Recovery, updates_within
from workers.engine.compression.graph import graph_of
from workers.engine.compression.prune import prune
from workers.engine.compression.specs import PruneSpec, RecoverSpec

TOKENS = 28_684  # a tenth of what the base was trained on
RATES = (5e-4, 1e-3, 2e-3)
REMOVED = 0.3
LEARN = RecoverSpec(tokens=TOKENS, batch_size=4, labels=1.0)


def main() -> dict[str, Any]:
    """Medians over the seeds, and each seed's own ratio."""
    torch.set_num_threads(1)
    ratios, found = [], dict[str, list[float]]()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(os.environ.get("BENCH_BASE", Path(folder) / "base"))
        if not base.is_dir():
            base_build(base, lambda _: None)
        for seed in range(SEEDS):
            with bench_of(base, Path(folder) / str(seed), seed) as bench:
                dense, rate = min((_dense(bench, rate), rate) for rate in RATES)
                before, after = _pruned(bench, rate)
            ratios.append(after / dense)
            figures = {"dense + tokens": dense, "pruned": before, "pruned + tokens": after}
            for name, value in figures.items():
                found.setdefault(f"perplexity {name}", []).append(value)
            say({"seed": seed, "rate": rate, "ratio": ratios[-1], **figures})
    medians = {name: statistics.median(values) for name, values in found.items()}
    return {
        **medians,
        "ratio, median": statistics.median(ratios),
        "ratio, worst": max(ratios),
        "seeds": SEEDS,
    }


def _dense(bench: Bench, rate: float) -> float:
    model = copy.deepcopy(bench.dense)
    learn(bench, model, replace(LEARN, learning_rate=rate))
    return perplexity(bench, model)


def _pruned(bench: Bench, rate: float) -> tuple[float, float]:
    """Perplexity before and after recovery."""
    spec = PruneSpec(mlp=REMOVED, scorer="taylor")
    model = prune(bench.dense, graph_of(bench.dense), spec, bench.samples).model
    before = perplexity(bench, model)
    learn(bench, model, replace(LEARN, learning_rate=rate))
    return before, perplexity(bench, model)


def learn(bench: Bench, student: nn.Module, spec: RecoverSpec) -> None:
    """Train `student` in place, with the dense model as teacher."""
    layers = tuple(range(bench.config.num_hidden_layers))
    job = Recovery(student, bench.dense, layers, bench.data, spec, bench.device)
    plan = updates_within(cast("Any", bench.data.lengths).tolist(), spec)
    for number, examples in enumerate(plan):
        job.update(examples, number, len(plan))
    student.requires_grad_(requires_grad=False)


if __name__ == "__main__":
    say(main())
