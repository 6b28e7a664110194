"""Recovery: 30 % of the weights of MLPs and attention removed, then a tenth of training's tokens,
beside the dense model with the same tokens.

    python -m tests.benchmarks bench_recovery

Both learn from the same rows in the same order at the same rate; the pruned one also has the dense
one for a teacher. Two cuts: MLP channels
alone, and channels with one key/value group of four. Perplexity is on test rows that neither saw.
The target is 1.05 × that of the dense model. `BENCH_SEEDS` draws (5 by default).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from tests.benchmarks.compression.notes import Notes
from tests.benchmarks.compression.recovery import learn
from tests.benchmarks.compression.subject import SEEDS, Subject, draw, medians, trained_tokens
from workers.engine.compression.graph import graph_of
from workers.engine.compression.prune import prune
from workers.engine.compression.specs import CompressSpec, PruneSpec, RecoverSpec

LABELS = RecoverSpec(batch_size=4, learning_rate=2e-3, logits=0.0, labels=1.0)
BOTH = replace(LABELS, logits=1.0)
CUTS = {"MLP": {"mlp": 0.41}, "MLP and groups": {"mlp": 0.32, "heads": 0.25}}  # 30 % of weights
SPEC = CompressSpec(prune=PruneSpec(mlp=0.5), max_length=256)


def main() -> dict[str, Any]:
    """Medians over the draws, and the worst ratio."""
    notes = Notes(__file__)
    tokens = notes.note("tokens", lambda: trained_tokens() // 10)
    runs = [notes.note(f"draw {seed}", measured, seed, tokens) for seed in range(SEEDS)]
    worst = {f"worst ratio, {name}": max(run[f"ratio, {name}"] for run in runs) for name in CUTS}
    return {
        **medians(runs),
        **worst,
        "tokens": tokens,
        "draws": len(runs),
        "runs": runs,
    }


def measured(seed: int, tokens: int) -> dict[str, float]:
    """Perplexities of one draw."""
    found = {}
    with draw(SPEC, seed) as subject:
        for name, make in MAKERS.items():
            student = make(subject)
            found[f"{name}, before"] = subject.perplexity(student)
            learn(subject, student, replace(LEARNS[name], tokens=tokens))
            found[name] = subject.perplexity(student)
    return found | {f"ratio, {name}": found[name] / found["dense"] for name in CUTS}


def cut(name: str, subject: Subject) -> nn.Module:
    spec = PruneSpec(scorer="taylor", **CUTS[name])
    return prune(subject.dense, graph_of(subject.dense), spec, subject.bench.samples).model


MAKERS: dict[str, Callable[[Subject], nn.Module]] = {
    "dense": lambda subject: copy.deepcopy(subject.dense),
    **{name: partial(cut, name) for name in CUTS},
}
LEARNS = {"dense": LABELS, **dict.fromkeys(CUTS, BOTH)}
