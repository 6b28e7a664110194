"""The memory that is estimated for a fine-tune, against the peak of a process that runs it.

    python -m tests.benchmarks bench_memory_estimate

Llamas of shapes drawn at random, by LoRA and in full, with and without checkpointing. Target: off
by at most 20%, and more than the upper bound in at most one of a hundred.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.benchmarks.training.contest import ROOT
from tests.benchmarks.training.workload import spec
from workers.engine.profiles import HIGH, memory_bytes
from workers.engine.shapes import Shape
from workers.engine.specs import CHECKPOINTING, FineTuneSpec

CASES = int(os.environ.get("CASES", "24"))
TARGET = {"error": 0.2, "short": 0.01}


def main() -> dict[str, Any]:
    """Measure and print."""
    runs = [measured(seed) for seed in range(CASES)]
    errors = sorted(abs(run["estimated"] / run["peak"] - 1) for run in runs)
    found = {
        "median_error": errors[len(errors) // 2],
        "largest_error": errors[-1],
        "within_20_percent": sum(error <= TARGET["error"] for error in errors) / len(errors),
        "upper_bound_short": sum(run["peak"] > run["bound"] for run in runs) / len(runs),
        "target": TARGET,
        "runs": runs,
    }
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return found


def measured(seed: int) -> dict[str, Any]:
    """One case: what was asked, what was said of it, what it took."""
    draws = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        base = base_make(Path(name) / "base", draws)
        given = settings(draws)
        shape = Shape.of_folder(base)
        command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.training.peak"]
        done = subprocess.run(
            [*command, str(base), json.dumps(given.to_dict())],
            cwd=ROOT, env=dict(os.environ) | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            check=True, stdout=subprocess.PIPE,
        )  # fmt: skip
    estimated = memory_bytes(given, shape)
    return {
        "parameters": shape.parameters,
        "layers": shape.layers,
        "hidden": shape.hidden,
        "vocabulary": shape.vocabulary,
        "method": given.method,
        "checkpointing": given.activation_checkpointing,
        "tokens": given.micro_batch_tokens,
        "rank": given.lora.rank,
        "estimated": estimated,
        "bound": int(estimated * HIGH),
        "peak": int(done.stdout.split()[-1]),
    }


def base_make(folder: Path, draws: np.random.Generator) -> Path:
    hidden = int(draws.choice([192, 256, 384, 512, 768]))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=int(draws.choice([2048, 8192, 32000])),
        hidden_size=hidden,
        intermediate_size=int(hidden * draws.uniform(2, 4)) // 8 * 8,
        num_hidden_layers=int(draws.integers(3, 13)),
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 64,
        max_position_embeddings=1024,
        tie_word_embeddings=bool(draws.integers(2)),
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def settings(draws: np.random.Generator) -> FineTuneSpec:
    tokens = int(draws.choice([256, 512, 1024, 2048, 4096]))
    return spec(
        method=str(draws.choice(["lora", "full"])),
        lora={"rank": int(draws.choice([4, 16, 64])), "alpha": 16.0},
        batch_size=max(1, tokens // 128),
        max_length=128,
        micro_batch_tokens=tokens,
        activation_checkpointing=str(draws.choice(CHECKPOINTING)),
    )


if __name__ == "__main__":
    main()
