"""Half of the MLP channels and key/value groups gone: against the dense parent, and int8 on both.

    python -m tests.benchmarks bench_compressed_speed

Llamas of 10M and 40M random weights, for speed and size do not depend on their values; one thread.
A forward pass is last-token logits of 4 × 128 and of 1 × 128 tokens: medians of the CPU time of 40
passes of each model, in the order A, B, C, D, D, C, B, A. Generation is 32 tokens after 32, greedy,
by the runtime that serves them, in the same order, medians of 6. Targets, of the dense model's:
forward ≤ 0.6, generation ≤ 0.75, bytes ≤ 0.65, peak memory ≤ 0.75; with int8 on both a forward pass
≤ 0.75 of dense int8's, and ≤ 0.5 of dense fp32's. Peak memory is what loading the model and a
forward pass of 4 × 128 add to the resident set of a process that has used a small one before:
imports are not counted.
"""

from __future__ import annotations

import copy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers.models import WordLevel
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from tests.benchmarks.compression.notes import Notes
from workers.engine import attention
from workers.engine.compression.graph import Kind, graph_of
from workers.engine.compression.quantise.files import quantise_model
from workers.engine.compression.structured import Kept, cut, kept_count
from workers.engine.data.tokens import Tokenizer
from workers.engine.inference.generate import TextModel
from workers.engine.models import parameter_count
from workers.engine.specs import GenerateSpec

SMALL = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1}
SIZES = {
    "10M": {"hidden_size": 320, "intermediate_size": 1024, "num_hidden_layers": 6},
    "40M": {"hidden_size": 640, "intermediate_size": 1792, "num_hidden_layers": 8},
}
VOCABULARY = 4096
REMOVED = {Kind.MLP: 0.5, Kind.HEADS: 0.5, Kind.WIDTH: 0.0}
FORWARD_ROUNDS, GENERATION_ROUNDS = 20, 3  # there and back: 40 passes of each, 6 generations
LENGTH, GENERATED = 128, 32
GREEDY = GenerateSpec(max_tokens=GENERATED, temperature=0)
DENSE, HALF, INT8, BOTH = "dense", "half", "int8", "half int8"
# VmHWM is of this program alone; what getrusage tells outlives an exec
_PEAK = """
import re, sys, torch
from pathlib import Path
from workers.engine.models import model_load
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
def use(folder):
    model = model_load(Path(folder))
    with torch.inference_mode():
        model(input_ids=torch.zeros(4, 128, dtype=torch.long), use_cache=False, logits_to_keep=1)
    return model
torch.set_num_threads(1)
use(sys.argv[1])
before = peak()
model = use(sys.argv[2])
print(1024 * (peak() - before))
"""


def main() -> dict[str, Any]:
    """Ratios by size."""
    torch.set_num_threads(1)
    notes = Notes(__file__)
    return {size: notes.note(size, measured, size) for size in SIZES}


def measured(size: str) -> dict[str, Any]:
    """Of one size; `runs` are the medians in CPU seconds and the bytes."""
    dense = model_of(SIZES[size])
    half = halved(dense)
    models = {DENSE: dense, HALF: half, INT8: copy.deepcopy(dense), BOTH: copy.deepcopy(half)}
    for name in (INT8, BOTH):
        quantise_model(models[name], "int8_dynamic")
    stored = {name: _stored(models[name]) for name in (DENSE, HALF, BOTH)}
    runs: dict[str, dict[str, float]] = {
        **_times(models),
        "bytes": {name: size for name, (size, _) in stored.items()},
        "peak memory": {name: peak for name, (_, peak) in stored.items()},
    }
    ratios = {
        f"{one} / {other}: {measure}": found[one] / found[other]
        for one, other in ((HALF, DENSE), (BOTH, INT8), (BOTH, DENSE))
        for measure, found in runs.items()
        if {one, other} <= set(found)
    }
    return {"parameters": parameter_count(dense), **ratios, "runs": runs}


def model_of(sizes: Mapping[str, int]) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        attn_implementation=attention.NAME,
        **sizes,
    )
    return LlamaForCausalLM(config).eval().requires_grad_(requires_grad=False)


def halved(model: nn.Module) -> nn.Module:
    graph = graph_of(model)
    units = {g.name: tuple(range(kept_count(g, REMOVED[g.kind]))) for g in graph.groups}
    return cut(model, graph, Kept(units, tuple(range(graph.layers))))


def _times(models: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    found = {
        f"forward {rows} × {LENGTH}": in_turn(_forward(rows), models, FORWARD_ROUNDS)
        for rows in (4, 1)
    }
    served = {
        name: TextModel(copy.deepcopy(model), words(), None, most_adapters=1)
        for name, model in models.items()
    }
    return {**found, "generation": in_turn(generate, served, GENERATION_ROUNDS)}


def _forward(rows: int) -> Callable[[Any], Any]:
    ids = token_ids(rows, LENGTH)
    return lambda model: model(input_ids=ids, use_cache=False, logits_to_keep=1)


def token_ids(rows: int, length: int) -> torch.Tensor:
    return torch.randint(VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(0))


def generate(model: TextModel) -> None:
    tokens = list(model.generate(token_ids(1, GENERATED)[0].tolist(), GREEDY))
    assert len(tokens) == GENERATED


def words() -> Tokenizer:
    """A word for each id, and no end."""
    core = tokenizers.Tokenizer(
        WordLevel({f"word{number}": number for number in range(VOCABULARY)})
    )
    return Tokenizer(core, eos_ids=())


def in_turn(
    call: Callable[[Any], Any],
    models: Mapping[str, Any],
    rounds: int,
    now: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Median seconds, by the clock `now`, of `call` on each model, in the order A, B, …, B, A."""
    times: dict[str, list[float]] = {name: [] for name in models}
    order = list(models)
    with torch.inference_mode():
        for name in order:
            call(models[name])  # warm
        for name in (order + order[::-1]) * rounds:
            begin = now()
            call(models[name])
            times[name].append(now() - begin)
    return {name: statistics.median(found) for name, found in times.items()}


def _stored(model: Any) -> tuple[int, int]:
    """Bytes on disk, and of peak memory when it is loaded and used."""
    with tempfile.TemporaryDirectory() as given:
        small, folder = Path(given) / "small", Path(given) / "own"
        model_of(SMALL).save_pretrained(small)
        model.save_pretrained(folder)
        size = sum(p.stat().st_size for p in folder.glob("*.safetensors"))
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _PEAK, small, folder],
            capture_output=True,
            text=True,
            check=True,
        )
    return size, int(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
