"""Quotes against real runs: how far the expected time and the p90 are off on specs never measured.

    python -m tests.benchmarks bench_quotes

A profile is measured on a 10M Llama for LoRA and for full fine-tuning; then twenty runs of other
ranks, batches, pass sizes, lengths and learned parts are made, in processor time of one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks.training.contest import ROOT
from workers.tasks.process import ALLOCATOR

SPECS = 20
TARGET = 0.15  # p90 of the relative error


def main() -> dict[str, Any]:
    """Measure and print."""
    environment = dict(os.environ) | ALLOCATOR | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.bench_quotes"],
        cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return found


def measured() -> dict[str, Any]:
    """In this process: by method, the ratios of real to expected seconds, and how far off."""
    from tests.benchmarks.training.workload import SIZES, base_make

    with tempfile.TemporaryDirectory() as folder:
        base = base_make(Path(folder) / "base", SIZES["10m"])
        return {method: errors(base, method) for method in ("lora", "full")} | {"target": TARGET}


def errors(base: Path, method: str) -> dict[str, Any]:
    import numpy as np

    from workers.engine.calibration import Sample, ratio
    from workers.engine.clocks import clock_of
    from workers.engine.measuring import measure
    from workers.engine.models import model_load
    from workers.engine.protocol import Numerics
    from workers.engine.specs import FineTuneSpec

    spec = FineTuneSpec(method=method)
    profile = measure(base, Numerics(), spec)
    draws, ratios = np.random.default_rng(7), []
    model = model_load(base)
    for number in range(SPECS):
        sample = Sample(
            batch=int(draws.choice([1, 2, 4, 8, 16])),
            pass_tokens=int(draws.choice([128, 512, 1024, 2048])),
            typical=int(draws.integers(20, 150)),
            learned=float(draws.uniform(0.2, 1.0)),
            rank=int(draws.choice([2, 8, 32, 64])),
            checkpointing=str(draws.choice(["none", "selective", "full"])),
        )
        found = ratio(model, base, spec, profile, clock_of("cpu"), sample, 100 + number)
        ratios.append(found / profile.quantiles[1])
    off = np.abs(np.array(ratios) - 1)
    within = [r <= profile.quantiles[2] / profile.quantiles[1] for r in ratios]
    return {
        "profile": asdict(profile),
        "runs": ratios,  # real seconds over expected
        "error_p50": float(np.quantile(off, 0.5)),
        "error_p90": float(np.quantile(off, 0.9)),
        "within_p90": sum(within) / len(within),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured()) + "\n")
