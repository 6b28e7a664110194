"""Recovery: 30 % of the weights of MLPs and attention removed, then a tenth of training's tokens,
beside the dense model with the same tokens.

    python -m tests.benchmarks bench_recovery

Both learn from the same rows in the same order, each at the best of `RATES` on the validation rows
of the first draw; the pruned one also has the dense one for a teacher. Two cuts: MLP channels
alone, and channels with one key/value group of four. Perplexity is on test rows that neither saw.
The target is 1.05 × that of the dense model. `BENCH_SEEDS` draws (5 by default).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from tests.benchmarks.compression.notes import Notes
from tests.benchmarks.compression.recovery import best_rate, learn
from tests.benchmarks.compression.subject import SEEDS, Subject, draw, medians, trained_tokens
from workers.engine.compression.graph import graph_of
from workers.engine.compression.prune import prune
from workers.engine.compression.specs import CompressSpec, PruneSpec, RecoverSpec

RATES = (5e-4, 1e-3, 2e-3)
LABELS = RecoverSpec(batch_size=4, logits=0.0, labels=1.0)
BOTH = replace(LABELS, logits=1.0)
CUTS = {"MLP": {"mlp": 0.41}, "MLP and groups": {"mlp": 0.32, "heads": 0.25}}  # 30 % of weights
SPEC = CompressSpec(prune=PruneSpec(mlp=0.5), max_length=256)


def main() -> dict[str, Any]:
    """Medians over the draws, and the worst ratio."""
    notes = Notes(__file__)
    tokens = notes.note("tokens", lambda: trained_tokens() // 10)
    rates = {name: notes.note(f"rate, {name}", rate_of, name, tokens) for name in MAKERS}
    runs = [notes.note(f"draw {seed}", measured, seed, tokens, rates) for seed in range(SEEDS)]
    worst = {f"worst ratio, {name}": max(run[f"ratio, {name}"] for run in runs) for name in CUTS}
    return {
        **medians(runs),
        **worst,
        "tokens": tokens,
        "rates": rates,
        "draws": len(runs),
        "runs": runs,
    }


def rate_of(name: str, tokens: int) -> float:
    with draw(SPEC, 0) as subject:
        spec = replace(LEARNS[name], tokens=tokens)
        return best_rate(subject, lambda: MAKERS[name](subject), spec, RATES)


def measured(seed: int, tokens: int, rates: Mapping[str, float]) -> dict[str, float]:
    """Perplexities of one draw."""
    found = {}
    with draw(SPEC, seed) as subject:
        for name, make in MAKERS.items():
            student = make(subject)
            found[f"{name}, before"] = subject.perplexity(student)
            spec = replace(LEARNS[name], tokens=tokens, learning_rate=rates[name])
            learn(subject, student, spec)
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
