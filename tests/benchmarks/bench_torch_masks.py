"""torch.nn.utils.prune at equal measured latency, after the same recovery.

    python -m tests.benchmarks bench_torch_masks

Masks leave every shape as it is, so no share of them reaches the latency of a cut model: that is
measured first, up to 90 %. At our latency their user is left with a dense model of the cut's own
shape, which has no masks and no parent: it is trained from nothing on the recovery's tokens. Beside
it stands the masks' criterion (the L2 norm of a unit's weights) cut out by our own code with
nothing solved again, which torch.nn.utils.prune itself cannot do; and half masked, at the dense
model's latency.

All have the same recovery, with the dense model as teacher, each at the best of `RATES` on the
validation rows of the first draw. Perplexity is on test rows, latency the CPU time of 4 × 128
tokens relative to the dense model (A, B, B, A; medians of 20 passes of each). `BENCH_SEEDS` draws
(5 by default). Target: ours is better at equal latency.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.utils import prune as torch_prune
from transformers import AutoModelForCausalLM

from tests.benchmarks.compression.notes import Notes
from tests.benchmarks.compression.recovery import best_rate, learn
from tests.benchmarks.compression.subject import SEEDS, Subject, draw, medians
from workers.engine import attention
from workers.engine.compression.graph import graph_of
from workers.engine.compression.latency import paired_latency
from workers.engine.compression.prune import prune
from workers.engine.compression.specs import CompressSpec, PruneSpec, RecoverSpec
from workers.engine.models import config_of

SHARE = 0.5
MASKED = (0.5, 0.9)
RATES = (5e-4, 1e-3, 2e-3, 4e-3)
RECOVERY = RecoverSpec(tokens=8_000, batch_size=4, labels=1.0)
SPEC = CompressSpec(prune=PruneSpec(mlp=SHARE), max_length=256)
ROUNDS = 10  # of A, B, B, A: 20 passes of each
OURS, SMALL, NORM, MASKS = "ours", "dense of that shape", "L2 norm, cut out", "half masked"


def main() -> dict[str, Any]:
    """Median perplexities, latencies, and in how many draws ours is the best at its own."""
    notes = Notes(__file__)
    latencies = notes.note("latency", latencies_of)
    rates = {name: notes.note(f"rate, {name}", rate_of, name) for name in MAKERS}
    runs = [notes.note(f"draw {seed}", measured, seed, rates) for seed in range(SEEDS)]
    wins = sum(run[OURS] < min(run[SMALL], run[NORM]) for run in runs)
    return {
        "perplexity": medians(runs),
        "latency": latencies,
        "ours is the best at its latency": wins,
        "draws": len(runs),
        "rates": rates,
        "runs": runs,
    }


def latencies_of() -> dict[str, float]:
    with draw(SPEC, 0) as subject:
        models = {name: make(subject) for name, make in MAKERS.items()}
        models |= {f"{share:.0%} masked": masked(subject.dense, share) for share in MASKED}
        return {name: latency(subject, model) for name, model in models.items()}


def rate_of(name: str) -> float:
    with draw(SPEC, 0) as subject:
        return best_rate(subject, lambda: MAKERS[name](subject), RECOVERY, RATES)


def measured(seed: int, rates: Mapping[str, float]) -> dict[str, float]:
    """Perplexities of one draw."""
    found = {}
    with draw(SPEC, seed) as subject:
        for name, make in MAKERS.items():
            student = learn(subject, make(subject), replace(RECOVERY, learning_rate=rates[name]))
            found[name] = subject.perplexity(student)
    return found


def cut(subject: Subject, **how: Any) -> nn.Module:
    spec = PruneSpec(mlp=SHARE, heads=SHARE, **how)
    return prune(subject.dense, graph_of(subject.dense), spec, subject.bench.samples).model


def untrained(model: nn.Module) -> nn.Module:
    """A model of the same shape with random weights, as the subject itself once began."""
    torch.manual_seed(0)
    made: nn.Module = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
        config_of(model),
        attn_implementation=attention.NAME,
    )
    return made.eval()


def masked(model: nn.Module, share: float) -> nn.Module:
    """torch's own structured masks on every linear layer of the blocks; they stay in training."""
    made = copy.deepcopy(model)
    for name, module in made.named_modules():
        if isinstance(module, nn.Linear) and "layers" in name:
            reads = name.endswith(("down_proj", "o_proj"))
            torch_prune.ln_structured(module, "weight", amount=share, n=2, dim=int(reads))
    return made


def latency(subject: Subject, model: nn.Module) -> float:
    before, after = paired_latency(subject.dense, model, subject.bench.probe, repeats=ROUNDS)
    return after / before


MAKERS: dict[str, Callable[[Subject], nn.Module]] = {
    OURS: cut,
    SMALL: lambda subject: untrained(cut(subject, scorer="random", reconstruct=False)),
    NORM: lambda subject: cut(subject, scorer="magnitude", reconstruct=False),
    MASKS: lambda subject: masked(subject.dense, SHARE),
}
