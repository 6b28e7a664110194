"""The formats of quantised weights: quality, bytes and speed on a CPU, speed and memory on a GPU.

    python -m tests.benchmarks bench_gpu_formats

Quality is the perplexity of a Llama of 256 channels on test rows that neither it nor the rounding
has seen, each layer's error, and the weights' bytes, all by the arithmetic of a CPU in fp32, with
which a GPU's kernels agree up to their bf16 (tests marked gpu). Speed is against the dense model:
last-token logits of 4 × 128 tokens, and 32 greedy tokens after 32 by the runtime that serves them,
in turn there and back, medians. On a CPU it is a Llama of 40M random weights in fp32, and CPU time
of one thread; on a GPU Llamas of 40M and 1B in bf16, wall time with the card waited for, and what
each loaded model holds of the card's memory. Without a CUDA device that part does not run, and says
so.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.benchmarks.bench_compressed_speed import (
    LENGTH,
    SIZES,
    generate,
    in_turn,
    model_of,
    token_ids,
    words,
)
from tests.benchmarks.compression.notes import Notes
from tests.benchmarks.compression.subject import draw
from workers.engine.base.build import Size
from workers.engine.compression.calibration import input_norms
from workers.engine.compression.quantise.files import quantise_model
from workers.engine.compression.quantise.formats import FORMS
from workers.engine.compression.quantise.linear import QuantisedLinear, layer_errors
from workers.engine.compression.report import weights_bytes
from workers.engine.compression.specs import CompressSpec
from workers.engine.compression.unstructured import mask_names
from workers.engine.inference.generate import TextModel
from workers.engine.models import model_load

WIDE = Size(hidden=256, intermediate=768, heads=8, kv_heads=4, spread=1 / 16)
SPEC = CompressSpec.from_dict({"quantise": "int8_dynamic", "max_length": 256})
LARGE = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16}
MODELS = {"40M": SIZES["40M"], "1B": LARGE}
FORWARD_ROUNDS, GENERATION_ROUNDS = 20, 3
CPU, CUDA = "cpu", "cuda"
DENSE = "dense"
NO_GPU = "did not run: torch sees no CUDA device on this machine"


def main() -> dict[str, Any]:
    """Quality by format, and speed by size."""
    torch.set_num_threads(1)
    notes = Notes(__file__)
    found: dict[str, Any] = {kind: notes.note(kind, quality, kind) for kind in (DENSE, *FORMS)}
    found["40M on a CPU"] = notes.note("40M on a CPU", speed, "40M", CPU)
    if not torch.cuda.is_available():
        return {**found, "GPU": NO_GPU}
    on_gpu = {f"{size} on a GPU": speed(size, CUDA) for size in MODELS}
    return {**found, "GPU": torch.cuda.get_device_name(), **on_gpu}


def quality(kind: str) -> dict[str, float]:
    """Perplexity, and as shares of fp32's the bytes and of each layer's output the error."""
    with draw(SPEC, 0, WIDE) as subject, tempfile.TemporaryDirectory() as given:
        folder, model = Path(given), subject.dense
        told = {}
        if kind != DENSE:
            norms = input_norms(model, mask_names(model), subject.bench.samples)
            errors = layer_errors(model, norms, kind).values()
            told = {"layer error, mean": statistics.mean(errors), "… worst": max(errors)}
            quantise_model(model, kind)
        model.save_pretrained(folder)  # type: ignore[operator]
        dense = weights_bytes(subject.bench.work.base.path)
        return {
            "perplexity": subject.perplexity(model),
            "bytes / dense": weights_bytes(folder) / dense,
            **told,
        }


def speed(size: str, device: str) -> dict[str, Any]:
    """Ratios to the dense model; `runs` are seconds, and bytes on the card."""
    with tempfile.TemporaryDirectory() as given:
        folders = {kind: Path(given) / kind for kind in (DENSE, *FORMS)}
        for kind, folder in folders.items():
            model = model_of(MODELS[size])
            if kind != DENSE:
                quantise_model(model, kind)
            model.save_pretrained(folder)
            del model
        held: dict[str, float] = {}
        models = {kind: _loaded(folder, device, held) for kind, folder in folders.items()}
    prompt = token_ids(4, LENGTH).to(device)

    def forward(model: nn.Module) -> Any:
        return model(input_ids=prompt, use_cache=False, logits_to_keep=1)

    runs = {"forward 4 × 128": in_turn(forward, models, FORWARD_ROUNDS, _clock(device))}
    if device == CUDA:
        runs["memory"] = held
    served = {
        kind: TextModel(model, words(), None, most_adapters=1) for kind, model in models.items()
    }
    runs["generation"] = in_turn(generate, served, GENERATION_ROUNDS, _clock(device))
    ratios = {
        f"{kind}: {measure}": found[kind] / found[DENSE]
        for measure, found in runs.items()
        for kind in FORMS
    }
    turned_back = _turned_back(models) if device == CUDA else {}
    return {**ratios, **turned_back, "runs": runs}


def _turned_back(models: Mapping[str, nn.Module]) -> dict[str, int]:
    """How many layers no kernel takes, where there are any."""
    counts = {
        kind: sum(isinstance(m, QuantisedLinear) for m in model.modules())
        for kind, model in models.items()
    }
    return {f"{kind}: layers turned back": count for kind, count in counts.items() if count}


def _loaded(folder: Path, device: str, held: dict[str, float]) -> Any:
    if device == CPU:
        return model_load(folder)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    model = model_load(folder, dtype="bfloat16", device=device)
    held[folder.name] = torch.cuda.memory_allocated() - before
    return model


def _clock(device: str) -> Callable[[], float]:
    """Processor time, or wall time with the card waited for."""
    return time.process_time if device == CPU else _waited


def _waited() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
