"""Least squares against the best scorer alone, without retraining.

    python -m tests.benchmarks bench_reconstruction

25 % and 50 % of the MLP channels and of the key/value groups go. The scorers are magnitude, Wanda,
Taylor and random; each with and without least squares. Perplexity is on test rows that neither the
model nor its calibration saw; `BENCH_SEEDS` draws of the calibration rows (5 by default). Target:
in each draw, the default (Wanda and least squares) is better than the best of the scorers alone.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from tests.benchmarks.compression.notes import Notes
from tests.benchmarks.compression.subject import SEEDS, draw, medians
from workers.engine.compression.graph import graph_of
from workers.engine.compression.prune import prune
from workers.engine.compression.specs import CompressSpec, PruneSpec

SHARES = (0.25, 0.5)
SCORERS = ("magnitude", "wanda", "taylor", "random")
CHOSEN = "wanda"
SPEC = CompressSpec(prune=PruneSpec(mlp=0.5), max_length=256)


def main() -> dict[str, Any]:
    """Median perplexities, and in how many draws least squares is better."""
    notes = Notes(__file__)
    runs = [notes.note(f"draw {seed}", measured, seed) for seed in range(SEEDS)]
    wins = {
        f"least squares better at {share:.0%}": sum(
            run[_name(share, CHOSEN, solved=True)]
            < min(run[_name(share, scorer, solved=False)] for scorer in SCORERS)
            for run in runs
        )
        for share in SHARES
    }
    return {"perplexity": medians(runs), **wins, "draws": len(runs), "runs": runs}


def measured(seed: int) -> dict[str, float]:
    """Perplexities of one draw."""
    with draw(SPEC, seed) as subject:
        found = {"dense": subject.perplexity(subject.dense)}
        graph = graph_of(subject.dense)
        for share, scorer, solved in product(SHARES, SCORERS, (False, True)):
            spec = PruneSpec(mlp=share, heads=share, scorer=scorer, reconstruct=solved)
            made = prune(subject.dense, graph, spec, subject.bench.samples).model
            found[_name(share, scorer, solved=solved)] = subject.perplexity(made)
        return found


def _name(share: float, scorer: str, *, solved: bool) -> str:
    return f"{share:.0%} {scorer}" + (" + least squares" if solved else "")
