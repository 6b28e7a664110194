"""Cohorts against our own engine, one tenant after another: time by number of tenants, and memory.

    python -m tests.benchmarks bench_cohorts

Time on a 10M Llama, updates of 47 ± 20 % tokens, in turn. Memory on a 40M one: the proportional set
size of a process that trains eight tenants, against that of eight processes that run at once.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.training.contest import ROOT
from workers.tasks.process import ALLOCATOR

COUNTS = (1, 2, 4, 8, 16)
ROUNDS, STEPS = 5, 55
TARGETS = {"1": 0.97, "8": 1.6, "16": 2.0}
MEMBERS, MEMORY_TARGET = 8, 0.25


def main() -> dict[str, Any]:
    """Measure and print."""
    result = {"time": times(), "memory": memory()}
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return result


def times() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.bench_cohorts"],
        cwd=ROOT, env=environment(), check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured_times() -> dict[str, Any]:
    """In this process: one tenant alone and each size of cohort, forwards and backwards."""
    from tests.benchmarks.training.together import Bench
    from tests.benchmarks.training.workload import SIZES, base_make
    from workers.engine import devices
    from workers.engine.protocol import Numerics

    devices.settle(Numerics())
    runs: dict[str, list[float]] = {name: [] for name in ("alone", *map(str, COUNTS))}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(base_make(Path(folder) / "base", SIZES["10m"]), Path(folder), STEPS)
        for number in range(ROUNDS):
            for name in list(runs) if number % 2 == 0 else reversed(list(runs)):
                took = bench.alone() if name == "alone" else bench.together(int(name))
                runs[name].append(took)
    seconds = {name: statistics.median(found) for name, found in runs.items()}
    return {
        "cpu_s_per_tenant_update": seconds,
        "times_faster": {str(k): seconds["alone"] / seconds[str(k)] for k in COUNTS},
        "target": TARGETS,
        "runs": runs,
    }


def memory() -> dict[str, Any]:
    from tests.benchmarks.training.workload import SIZES, base_make

    with tempfile.TemporaryDirectory() as folder:
        base = base_make(Path(folder) / "base", SIZES["40m"])
        cohort = held([MEMBERS], base)
        apart = held([0] * MEMBERS, base)
    return {
        "cohort_bytes": cohort,
        "processes_bytes": apart,
        "ratio": cohort / apart,
        "target": MEMORY_TARGET,
    }


def held(counts: list[int], base: Path) -> int:
    """Memory of processes that all stand at their largest at once, in all, less their imports."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.training.together", "40m"]
    processes = []
    for count in counts:
        given = [*command, str(count), "8", str(base)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(given, cwd=ROOT, env=environment(), **pipes))
    found = 0
    for step in ("ready", "memory"):
        for process in processes:
            assert process.stdin is not None
            assert process.stdout is not None
            if step == "memory":
                process.stdin.write("\n")
                process.stdin.flush()
            line = process.stdout.readline()
            found += int(line) if step == "memory" else 0
    for process in processes:
        process.communicate("\n")
    return found


def environment() -> dict[str, str]:
    return dict(os.environ) | ALLOCATOR | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured_times()) + "\n")
