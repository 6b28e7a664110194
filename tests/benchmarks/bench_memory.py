"""Activation checkpointing: memory above weights and optimiser, and time, against none.

    python -m tests.benchmarks bench_memory

Full fine-tuning and LoRA of a 10M Llama on 8 sequences of 512 tokens; each run in a process of its
own, in turn.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import Any

from tests.benchmarks.training.contest import ROOT
from workers.tasks.process import ALLOCATOR

MODES = ("none", "selective", "full")
ROUNDS, UPDATES = 5, 3
TARGET = {"memory": 0.6, "time": 1.45}


def main() -> dict[str, Any]:
    """Measure and print."""
    result = {method: measured(method) for method in ("full", "lora")}
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return result


def measured(method: str) -> dict[str, Any]:
    runs: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    for number in range(ROUNDS):
        for mode in MODES if number % 2 == 0 else reversed(MODES):
            runs[mode].append(run(method, mode))
    peak = {mode: statistics.median(r["peak_bytes"] for r in runs[mode]) for mode in MODES}
    seconds = {
        mode: statistics.median(statistics.median(r["seconds"][1:]) for r in runs[mode])
        for mode in MODES
    }
    return {
        "peak_bytes": peak,
        "update_cpu_s": seconds,
        "memory_ratio": {mode: peak[mode] / peak["none"] for mode in MODES[1:]},
        "time_ratio": {mode: seconds[mode] / seconds["none"] for mode in MODES[1:]},
        "target": TARGET,
        "runs": runs,
    }


def run(method: str, mode: str) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.training.memory"]
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, method, mode, str(UPDATES)],
        cwd=ROOT, env=dict(os.environ) | one_thread | ALLOCATOR, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
