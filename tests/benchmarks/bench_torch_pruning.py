"""Torch-Pruning 1.6 with its GroupNorm and its Taylor importance, after the same recovery.

    python -m tests.benchmarks bench_torch_pruning

Half of the MLP channels and of the heads go. Torch-Pruning does not end on grouped-query attention
of transformers 5 and leaves heads with q/k norms as they are; both are tried first, on models with
random weights, and reported. The contest is therefore on a model with a key/value head for each
query head. Same calibration rows, same recovery, each contender at the best of `RATES` on the
validation rows of the first draw, parameters within 1 %. Perplexity is on test rows, prune time CPU
time; `BENCH_SEEDS` draws (5 by default). Target: ours is better or equal, prune time ≤ 1 ×.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from tests.benchmarks.compression.recovery import best_rate, learn
from tests.benchmarks.compression.subject import SIZE, Subject, draws, medians, say
from tests.benchmarks.compression.torch_pruning import IMPORTANCES, torch_pruned
from workers.engine.compression.graph import graph_of
from workers.engine.compression.prune import prune
from workers.engine.compression.specs import CompressSpec, PruneSpec, RecoverSpec
from workers.engine.models import parameter_count

SHARE = 0.5
RATES = (2e-3, 4e-3)
RECOVERY = RecoverSpec(tokens=20_000, batch_size=4, labels=1.0)
SPEC = CompressSpec(prune=PruneSpec(mlp=SHARE), max_length=256)
ALL_HEADS = replace(SIZE, kv_heads=SIZE.heads)
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
    shapes = {name: outcome(make().eval()) for name, make in SHAPES.items()}
    say(shapes)
    runs, rates = [], dict[str, float]()
    for subject in draws(SPEC, ALL_HEADS):
        found: dict[str, float] = {}
        for name, make in contenders(subject).items():
            rate = rates.get(name) or best_rate(subject, make, RECOVERY, RATES)
            rates[name] = rate
            begin = time.process_time()
            student = make()
            found[f"prune seconds, {name}"] = time.process_time() - begin
            found[f"parameters, {name}"] = parameter_count(student)
            found[f"before recovery, {name}"] = subject.perplexity(student)
            learn(subject, student, replace(RECOVERY, learning_rate=rate))
            found[f"recovered, {name}"] = subject.perplexity(student)
        runs.append(found)
        say(found)
    rivals = [f"recovered, {name}" for name in IMPORTANCES]
    better = sum(run["recovered, ours"] <= min(run[name] for name in rivals) for run in runs)
    return {
        **medians(runs),
        "ours is better or equal": better,
        "draws": len(runs),
        "rates": rates,
        "Torch-Pruning on shapes": shapes,
        "runs": runs,
    }


def contenders(subject: Subject) -> dict[str, Callable[[], nn.Module]]:
    samples, dense = subject.bench.samples, subject.dense
    graph = graph_of(dense)
    ours = PruneSpec(mlp=SHARE, heads=SHARE, scorer="taylor")

    def loss(model: nn.Module) -> Tensor:
        return torch.stack([sample.loss(model) for sample in samples]).mean()

    def theirs(importance: str) -> nn.Module:
        return torch_pruned(dense, importance, mlp=SHARE, heads=SHARE, loss=loss)

    return {
        "ours": lambda: prune(dense, graph, ours, samples).model,
        **{name: lambda name=name: theirs(name) for name in IMPORTANCES},
    }


def outcome(model: nn.Module) -> str:
    """What half of the heads comes to."""
    before = _heads(model)
    try:
        with time_limit(LIMIT_S):
            after = _heads(torch_pruned(model, "GroupNorm", mlp=SHARE, heads=SHARE, loss=_none))
    except Exception as error:  # noqa: BLE001 -- its failures are a result
        return f"fails: {error!r}"[:200]
    return f"q, k, v rows {before} become {after}"


def _heads(model: Any) -> tuple[int, ...]:
    own = model.model.layers[0].self_attn
    return tuple(each.out_features for each in (own.q_proj, own.k_proj, own.v_proj))


def _none(model: nn.Module) -> Tensor:
    raise NotImplementedError(f"norms of {type(model).__name__} need no gradients")


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
