"""Contenders in turn, each run in a process of its own: `python -m …contest CONTENDER SIZE STEPS`.

A contender's figures are CPU seconds per update, from one update's end to the next one's, collation
included; imports, loading and the first updates are not counted.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workers.tasks.process import ALLOCATOR

ROOT = Path(__file__).resolve().parents[3]
WARM_UP = 3  # updates
OURS, OURS_BF16 = "ours", "ours_bf16"


def contest(contenders: Sequence[str], size: str, *, rounds: int, steps: int) -> dict[str, Any]:
    """Each contender's tokens per CPU second: the median of its runs, which are kept."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in contenders if number % 2 == 0 else reversed(contenders):
            runs[name].append(run(name, size, steps))
    return {
        "tokens_per_cpu_s": {
            name: statistics.median(speed(each) for each in of_one) for name, of_one in runs.items()
        },
        "runs": runs,
    }


def speed(found: dict[str, Any]) -> float:
    """Real tokens per CPU second, after the warm-up."""
    return float(sum(found["tokens"][WARM_UP:]) / sum(found["seconds"][WARM_UP:]))


def run(contender: str, size: str, steps: int) -> dict[str, Any]:
    """One run in a fresh process with one thread. Ours has the allocator's settings that a
    worker's child has; the others have what a user's shell has: none."""
    env = dict(os.environ) | {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    if contender in {OURS, OURS_BF16}:
        env |= ALLOCATOR
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", __spec__.name, contender, size, str(steps)],
        cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(contender: str, size: str, steps: int) -> None:
    from tests.benchmarks.training import ours, stock
    from tests.benchmarks.training.workload import (
        BATCH,
        SIZES,
        base_make,
        examples_make,
        padding_efficiency,
        spec,
    )
    from workers.engine.data.order import epoch_order
    from workers.engine.methods.method import method_open
    from workers.engine.models import model_load

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = base_make(folder / "base", SIZES[size])
        examples = examples_make(BATCH * steps)
        ordered = [examples[place] for place in epoch_order(0, 0, len(examples))]
        with method_open(model_load(base), spec(), base, None) as method:
            method.save(folder / "adapter")
        if contender in {OURS, OURS_BF16}:
            dtype = "float32" if contender == OURS else "bfloat16"
            adapter = folder / "adapter"
            found = ours.train(base, examples, spec(), folder, adapter=adapter, dtype=dtype)
        else:
            found = stock.train(
                base, ordered, folder / "adapter", folder, grouped=contender == "grouped"
            )
    found["padding_efficiency"] = padding_efficiency(ordered)
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
