"""Cohorts against our own engine, one tenant after another: time by number of tenants, and memory.

    python -m tests.benchmarks bench_cohorts

Time on a 10M Llama, updates of 47 ± 20 % tokens, in turn. Memory on a 40M one: the proportional set
size of a process that trains eight tenants, against that of eight processes that run at once: our
own, which map one copy of the base between them, and transformers' Trainer with PEFT.
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
    from tests.benchmarks.training.together import ALONE, STOCK, adapter_make
    from tests.benchmarks.training.workload import SIZES, base_make

    with tempfile.TemporaryDirectory() as folder:
        base = base_make(Path(folder) / "base", SIZES["40m"])
        adapter_make(base)
        cohort = held([str(MEMBERS)], base)
        apart = {who: held([who] * MEMBERS, base) for who in (ALONE, STOCK)}
    return {
        "cohort_bytes": cohort,
        "processes_bytes": apart,
        "ratio": {who: cohort / found for who, found in apart.items()},
        "target": MEMORY_TARGET,
    }


def held(contenders: list[str], base: Path) -> int:
    """Memory of processes that all stand at their largest at once, in all, less their imports."""
    processes = [begun(who, base) for who in contenders]
    for process in processes:
        while said(process) != "ready":
            pass
    for process in processes:
        let_go(process)
    found = sum(int(said(process)) for process in processes)
    for process in processes:
        let_go(process)
        process.wait()
    return found


def begun(who: str, base: Path) -> subprocess.Popen[str]:
    """One of them; the allocator's settings are those of a worker's child, or a shell's: none."""
    given = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.training.together"]
    return subprocess.Popen(
        [*given, who, "8", str(base)],
        cwd=ROOT, env=environment() if who != "stock" else plain_environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> str:
    """Its next line. Raises EOFError where it ended instead."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise EOFError(f"a contender ended: {process.wait()}")
    return line.strip()


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def environment() -> dict[str, str]:
    return plain_environment() | ALLOCATOR


def plain_environment() -> dict[str, str]:
    return dict(os.environ) | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured_times()) + "\n")
