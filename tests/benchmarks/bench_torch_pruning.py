"""Torch-Pruning 1.6 with its GroupNorm and its Taylor importance, after the same recovery.

    python -m tests.benchmarks bench_torch_pruning

Half of the MLP channels and of the heads go. Torch-Pruning does not end on grouped-query attention
of transformers 5 and leaves heads with q/k norms as they are; both are tried first, on models with
random weights, and reported. The contest is therefore on the subject with its keys and values
repeated for each query head: the same function, in the one form that Torch-Pruning can cut. Same
calibration rows, same recovery, each contender at the best of `RATES` on the validation rows of the
first draw, parameters within 1 %. Perplexity is on test rows, prune time CPU time; `BENCH_SEEDS`
draws (5 by default). Target: ours is better or equal, prune time ≤ 1 ×.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from tests.benchmarks.compression.notes import Notes
from tests.benchmarks.compression.recovery import best_rate, learn
from tests.benchmarks.compression.subject import SEEDS, Subject, draw, medians
from tests.benchmarks.compression.torch_pruning import IMPORTANCES, torch_pruned, ungrouped
from workers.engine.compression.graph import graph_of
from workers.engine.compression.prune import prune
from workers.engine.compression.specs import CompressSpec, PruneSpec, RecoverSpec
from workers.engine.models import parameter_count

SHARE = 0.5
RATES = (5e-4, 1e-3, 2e-3, 4e-3)
RECOVERY = RecoverSpec(tokens=8_000, batch_size=4, labels=1.0)
SPEC = CompressSpec(prune=PruneSpec(mlp=SHARE), max_length=256)
LIMIT_S = 30  # for models of two layers, which ours takes less than a second for
TINY = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": 0,
}
SHAPES: dict[str, Callable[[], nn.Module]] = {
    "Llama, a group for each head": lambda: LlamaForCausalLM(
        LlamaConfig(num_key_value_heads=8, **TINY)
    ),
    "Llama, grouped-query": lambda: LlamaForCausalLM(LlamaConfig(num_key_value_heads=4, **TINY)),
    "Qwen3, q/k norms": lambda: Qwen3ForCausalLM(
        Qwen3Config(num_key_value_heads=8, head_dim=8, **TINY)
    ),
    "Qwen3, q/k norms, grouped-query": lambda: Qwen3ForCausalLM(
        Qwen3Config(num_key_value_heads=4, head_dim=8, **TINY)
    ),
}


def main() -> dict[str, Any]:
    """What each does to the shapes, then medians over the draws."""
    notes = Notes(__file__)
    shapes = {n: notes.note(n, outcome, make().eval()) for n, make in SHAPES.items()}
    rates = {name: notes.note(f"rate, {name}", rate_of, name) for name in MAKERS}
    runs = [notes.note(f"draw {seed}", measured, seed, rates) for seed in range(SEEDS)]
    return {
        **medians(runs),
        **{
            f"ours is better or equal to {name}": sum(
                run[f"recovered, {OURS}"] <= run[f"recovered, {name}"] for run in runs
            )
            for name in IMPORTANCES
        },
        "draws": len(runs),
        "rates": rates,
        "Torch-Pruning on shapes": shapes,
        "runs": runs,
    }


def rate_of(name: str) -> float:
    with draw(SPEC, 0) as subject:
        return best_rate(subject, lambda: MAKERS[name](subject), RECOVERY, RATES)


def measured(seed: int, rates: Mapping[str, float]) -> dict[str, float]:
    """Figures of one draw."""
    found: dict[str, float] = {}
    with draw(SPEC, seed) as subject:
        for name, make in MAKERS.items():
            begin = time.process_time()
            student = make(subject)
            found[f"prune seconds, {name}"] = time.process_time() - begin
            found[f"parameters, {name}"] = parameter_count(student)
            found[f"before recovery, {name}"] = subject.perplexity(student)
            learn(subject, student, replace(RECOVERY, learning_rate=rates[name]))
            found[f"recovered, {name}"] = subject.perplexity(student)
    return found


def ours(subject: Subject, **how: Any) -> nn.Module:
    spec = PruneSpec(mlp=SHARE, heads=SHARE, **how)
    model = ungrouped(subject.dense)
    return prune(model, graph_of(model), spec, subject.bench.samples).model


def theirs(importance: str, subject: Subject) -> nn.Module:
    def loss(model: nn.Module) -> Tensor:
        return torch.stack([sample.loss(model) for sample in subject.bench.samples]).mean()

    gradients = loss if importance == "Taylor" else None  # which norms need not wait for
    return torch_pruned(
        ungrouped(subject.dense), importance, mlp=SHARE, heads=SHARE, loss=gradients
    )


OURS, NORM = "ours", "our magnitude alone"  # the default; and what GroupNorm is like for like
MAKERS: dict[str, Callable[[Subject], nn.Module]] = {
    OURS: ours,
    NORM: partial(ours, scorer="magnitude", reconstruct=False),
    **{name: partial(theirs, name) for name in IMPORTANCES},
}


def outcome(model: nn.Module) -> str:
    """What half of the heads comes to."""
    before = _heads(model)
    try:
        with time_limit(LIMIT_S):
            after = _heads(torch_pruned(model, "GroupNorm", mlp=SHARE, heads=SHARE))
    except Exception as error:  # noqa: BLE001 -- its failures are a result
        return f"fails: {error!r}"[:200]
    return f"q, k, v rows {before} become {after}"


def _heads(model: Any) -> tuple[int, ...]:
    own = model.model.layers[0].self_attn
    return tuple(each.out_features for each in (own.q_proj, own.k_proj, own.v_proj))


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raises TimeoutError in what has not taken that much CPU time by then."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
