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
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import nn

from tests.benchmarks.compression.recovery import best_rate, learn
from tests.benchmarks.compression.subject import Subject, draws, medians, say, trained_tokens
from workers.engine.compression.graph import graph_of
from workers.engine.compression.prune import prune
from workers.engine.compression.specs import CompressSpec, PruneSpec, RecoverSpec

RATES = (2e-3, 4e-3)
LABELS = RecoverSpec(batch_size=4, logits=0.0, labels=1.0)
BOTH = replace(LABELS, logits=1.0)
CUTS = {"MLP": {"mlp": 0.41}, "MLP and groups": {"mlp": 0.32, "heads": 0.25}}  # 30 % of the weights
SPEC = CompressSpec(prune=PruneSpec(mlp=0.5), max_length=256)


def main() -> dict[str, Any]:
    """Medians over the draws, and the worst ratio."""
    tokens = trained_tokens() // 10
    rates: dict[str, float] = {}
    runs = []
    for subject in draws(SPEC):
        runs.append(measured(subject, tokens, rates))
        say(runs[-1])
    worst = {f"worst ratio, {name}": max(run[f"ratio, {name}"] for run in runs) for name in CUTS}
    return {
        **medians(runs),
        **worst,
        "tokens": tokens,
        "rates": rates,
        "draws": len(runs),
        "runs": runs,
    }


def measured(subject: Subject, tokens: int, rates: dict[str, float]) -> dict[str, float]:
    """Perplexities of one draw; the first fills `rates` in."""
    learns: dict[str, tuple[Callable[[], nn.Module], RecoverSpec]] = {
        "dense": (lambda: copy.deepcopy(subject.dense), LABELS),
        **{name: (lambda name=name: cut(subject, name), BOTH) for name in CUTS},
    }
    found = {"dense before": subject.perplexity(subject.dense)}
    for name, (make, spec) in learns.items():
        asked = replace(spec, tokens=tokens)
        rate = rates.get(name) or best_rate(subject, make, asked, RATES)
        rates[name] = rate
        student = make()
        found[f"{name} before"] = subject.perplexity(student)
        learn(subject, student, replace(asked, learning_rate=rate))
        found[name] = subject.perplexity(student)
    return found | {f"ratio, {name}": found[name] / found["dense"] for name in CUTS}


def cut(subject: Subject, name: str) -> nn.Module:
    spec = PruneSpec(scorer="taylor", **CUTS[name])
    return prune(subject.dense, graph_of(subject.dense), spec, subject.bench.samples).model
