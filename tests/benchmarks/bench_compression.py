"""Compression against the dense parent, int8 alone, torch's masks, Torch-Pruning and itself.

    python -m tests.benchmarks bench_compression

One thread. Latency is CPU time of a forward pass at 4 × 128 tokens, last token's logits, in the
order A, B, B, A, medians of 40. Perplexity is on rows of the local base model's own text that
calibration and recovery did not see. `BENCH_SEEDS` draws of the calibration rows (5 by default).
"""

from __future__ import annotations

import copy
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune
from transformers import LlamaConfig, LlamaForCausalLM

from tests.benchmarks.torch_pruning import torch_pruned
from tests.workers.engine.factories import Recorder, handle, write_jsonl
from workers.engine import attention
from workers.engine.base.build import base_build
from workers.engine.base.text import rows
from workers.engine.compression.bench import Bench
from workers.engine.compression.distil import Recovery, updates_within
from workers.engine.compression.graph import Kind, graph_of
from workers.engine.compression.latency import paired_latency
from workers.engine.compression.prune import prune
from workers.engine.compression.quantise import quantise_model
from workers.engine.compression.specs import CompressSpec, PruneSpec, RecoverSpec
from workers.engine.compression.structured import Kept, cut, kept_count
from workers.engine.models import parameter_count
from workers.engine.protocol import CompressWork

SEEDS = int(os.environ.get("BENCH_SEEDS", "5"))
RECOVERY = RecoverSpec(tokens=30_000, learning_rate=2e-3, batch_size=8, labels=1.0)
SIZES = {
    "10M": {"hidden_size": 320, "intermediate_size": 1024, "num_hidden_layers": 6},
    "40M": {"hidden_size": 640, "intermediate_size": 1792, "num_hidden_layers": 8},
}
HALF = {Kind.MLP: 0.5, Kind.HEADS: 0.5, Kind.WIDTH: 0.0}
TORCH_PRUNING_S = 60  # for a model of 1.3M parameters, which ours takes a second or two for
ROUNDS = 10  # of A, B, B, A: 40 passes


def main() -> dict[str, Any]:
    """Measure and print everything."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for size in SIZES:
        found |= {f"{size} {name}": value for name, value in shapes(size).items()}
        say(found)
    with tempfile.TemporaryDirectory() as folder:
        found |= quality(Path(folder))
    say(found)
    return found


def say(found: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    sys.stdout.flush()


# Speed and size, where weights do not matter


def model_of(size: str) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4096, num_attention_heads=8, num_key_value_heads=4,
        max_position_embeddings=1024, attn_implementation=attention.NAME, **SIZES[size],
    )  # fmt: skip
    return LlamaForCausalLM(config).eval().requires_grad_(requires_grad=False)


def halved(model: nn.Module) -> nn.Module:
    graph = graph_of(model)
    units = {g.name: tuple(range(kept_count(g, HALF[g.kind]))) for g in graph.groups}
    return cut(model, graph, Kept(units, tuple(range(graph.layers))))


def shapes(size: str) -> dict[str, float]:
    """Ratios of a model with half of its MLP channels and KV groups to the dense one."""
    dense = model_of(size)
    half = halved(dense)
    quantised, both = copy.deepcopy(dense), copy.deepcopy(half)
    for model in (quantised, both):
        quantise_model(model, "int8_dynamic")
    masked = copy.deepcopy(dense)
    for module in masked.modules():
        if isinstance(module, nn.Linear) and module.out_features != 4096:
            torch_prune.ln_structured(module, "weight", amount=0.5, n=2, dim=0)
            torch_prune.remove(module, "weight")
    return {
        "parameters": parameter_count(dense),
        "half: forward": ratio(half, dense),
        "half: generation": generation(half) / generation(dense),
        "half: bytes": stored(half) / stored(dense),
        "half: peak memory": peak(size, "half") / peak(size, "dense"),
        "half int8 / int8: forward": ratio(both, quantised),
        "half int8 / fp32: forward": ratio(both, dense),
        "half int8 / fp32: bytes": stored(both) / stored(dense),
        "int8 / fp32: forward": ratio(quantised, dense),
        "torch masks of half / fp32: forward": ratio(masked, dense),
    }


def ratio(model: nn.Module, dense: nn.Module) -> float:
    before, after = paired_latency(dense, model, 4096, repeats=ROUNDS)
    return after / before


def generation(model: Any, tokens: int = 32) -> float:
    """CPU seconds of greedy generation from 32 tokens, median of 5."""
    ids = torch.arange(32)[None]
    times = []
    for _ in range(6):
        begin = time.process_time()
        with torch.inference_mode():
            model.generate(ids, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False)
        times.append(time.process_time() - begin)
    return statistics.median(times[1:])


def stored(model: Any) -> int:
    """Bytes on disk."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return sum(p.stat().st_size for p in Path(folder).glob("*.safetensors"))


def peak(size: str, which: str) -> int:
    """What a forward pass adds to a fresh process's peak resident set, weights included."""
    import subprocess

    code = (
        "import resource, sys, tempfile, torch\n"
        "from tests.benchmarks import bench_compression as b\n"
        "torch.set_num_threads(1)\n"
        "model = b.model_of(sys.argv[1])\n"
        "model = b.halved(model) if sys.argv[2] == 'half' else model\n"
        "folder = tempfile.mkdtemp(); model.save_pretrained(folder); del model\n"
        "import os; pid = os.fork()\n"
        "if pid: os.waitpid(pid, 0); sys.exit()\n"
        "os.execv(sys.executable, [sys.executable, '-c', b.PEAK, folder])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, size, which],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout.strip().splitlines()[-1])


PEAK = """
import resource, sys, torch
from pathlib import Path
from workers.engine.models import model_load
torch.set_num_threads(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = model_load(Path(sys.argv[1]))
with torch.inference_mode():
    model(input_ids=torch.zeros(4, 128, dtype=torch.long), use_cache=False, logits_to_keep=1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


# Quality, on the local base model


def quality(folder: Path) -> dict[str, Any]:
    """Medians over the seeds."""
    base = Path(os.environ.get("BENCH_BASE", folder / "base"))
    if not base.is_dir():
        base_build(base, lambda _: None)
    found: dict[str, list[float]] = {}
    for seed in range(SEEDS):
        with bench_of(base, folder / str(seed), seed) as bench:
            found.setdefault("dense", []).append(perplexity(bench, bench.dense))
            without_retraining(bench, found)
            recovered(bench, found)
        say({name: [round(v, 2) for v in values] for name, values in found.items()})
    medians = {f"perplexity {name}": statistics.median(v) for name, v in found.items()}
    wins = {
        f"least squares wins at {share}": sum(
            ours < min(theirs)
            for ours, *theirs in zip(
                found[f"{share} wanda + least squares"],
                *(found[f"{share} {scorer}"] for scorer in ("magnitude", "wanda", "taylor")),
                strict=True,
            )
        )
        for share in ("25%", "50%")
    }
    return {**medians, **wins, "seeds": SEEDS}


@contextmanager
def bench_of(base: Path, folder: Path, seed: int) -> Iterator[Bench]:
    """The base with its rows in an order of the seed's own, a tenth held out."""
    folder.mkdir(parents=True)
    text = [row for row in rows() if "text" in row]
    order = np.random.default_rng(seed).permutation(len(text))
    data = write_jsonl(folder / "rows.jsonl", [text[place] for place in order])
    spec = CompressSpec(
        prune=PruneSpec(mlp=0.5), recover=RECOVERY, max_length=256, held_out=0.1,
        calibration_examples=64,
    )  # fmt: skip
    work = CompressWork(handle(base), "bench", spec, handle(data), folder / "scratch")
    yield Bench(work, Recorder(folder))


def perplexity(bench: Bench, model: nn.Module) -> float:
    return bench.score(model)["perplexity"]


def without_retraining(bench: Bench, found: dict[str, list[float]]) -> None:
    for share, ratios in (("25%", (0.25, 0.0)), ("50%", (0.5, 0.5))):
        for scorer in ("magnitude", "wanda", "taylor"):
            for solve in (False, True):
                spec = PruneSpec(mlp=ratios[0], heads=ratios[1], scorer=scorer, reconstruct=solve)
                made = prune(bench.dense, graph_of(bench.dense), spec, bench.samples)
                name = f"{share} {scorer}" + (" + least squares" if solve else "")
                found.setdefault(name, []).append(perplexity(bench, made.model))


def recovered(bench: Bench, found: dict[str, list[float]]) -> None:
    """Half of MLP and KV groups, each way to choose, then the same recovery."""
    graph = graph_of(bench.dense)
    spec = PruneSpec(mlp=0.5, heads=0.5, scorer="taylor")
    begin = time.process_time()
    ours = prune(bench.dense, graph, spec, bench.samples)
    found.setdefault("prune seconds, ours", []).append(time.process_time() - begin)
    tried: dict[str, Callable[[], nn.Module]] = {
        "ours": lambda: ours.model,
        "torch masks": lambda: masks(bench.dense),
        "dense": lambda: copy.deepcopy(bench.dense),
        "Torch-Pruning GroupNorm": lambda: torch_pruned(bench, "norm", found),
        "Torch-Pruning Taylor": lambda: torch_pruned(bench, "taylor", found),
    }
    for name, make in tried.items():
        try:
            with time_limit(TORCH_PRUNING_S):
                student = make()
        except Exception as error:  # noqa: BLE001 -- its failures are a result
            say({f"{name} failed": repr(error)[:300]})
            continue
        found.setdefault(f"parameters {name}", []).append(_used(student))
        found.setdefault(f"before recovery, {name}", []).append(perplexity(bench, student))
        recover(bench, student)
        found.setdefault(f"recovered, {name}", []).append(perplexity(bench, student))
        before, after = paired_latency(bench.dense, student, bench.config.vocab_size)
        found.setdefault(f"latency, {name}", []).append(after / before)


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raises TimeoutError in what has not ended by then."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _used(model: nn.Module) -> int:
    return sum(int((p != 0).sum()) for p in model.parameters())


def masks(model: nn.Module) -> nn.Module:
    """torch's own structured masks, half of the MLP's rows and the heads' (shapes stay)."""
    made = copy.deepcopy(model)
    for name, module in made.named_modules():
        if isinstance(module, nn.Linear) and "layers" in name and "down" not in name:
            torch_prune.ln_structured(module, "weight", amount=0.5, n=2, dim=0)
    return made


def recover(bench: Bench, student: nn.Module) -> None:
    layers = tuple(range(bench.config.num_hidden_layers))
    job = Recovery(student, bench.dense, layers, bench.data, bench.spec.recover, bench.device)
    plan = updates_within(cast("Any", bench.data.lengths).tolist(), bench.spec.recover)
    for number, examples in enumerate(plan):
        job.update(examples, number, len(plan))
    student.requires_grad_(requires_grad=False)


def loss_of(bench: Bench, model: nn.Module) -> Tensor:
    return torch.stack([sample.loss(model) for sample in bench.samples]).mean()


if __name__ == "__main__":
    main()
