"""Training against the best that stock tools offer: Trainer grouped by length, TRL's packing.

    python -m tests.benchmarks bench_trl

LoRA of rank 8 on every linear layer of a 10M Llama that has read the docstrings of Python's
library, on pieces of Python's reference: lengths log-normal from 20 to 400 tokens, 8 examples per
update, loss on the completions. The same examples and epochs for all; each seed gives an order and
an adapter to begin with; contenders in turn, forwards and backwards. One judge scores the adapters
on sections that nobody trained on. 40M: speed alone, on `bench_training`'s draws, in fewer rounds.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.compression.notes import Notes
from tests.benchmarks.training.contest import (
    OURS,
    TRL_PACKING,
    TRL_PADDING_FREE,
    Course,
    answer,
    contest,
)

GROUPED = "grouped"
SEEDS, STEPS, EPOCHS = 5, 16, 2  # updates of an epoch
ROUNDS_40M, STEPS_40M = 2, 8
HELD_OUT = 150  # examples
TARGETS = {GROUPED: 2.0, TRL_PACKING: 1.4, TRL_PADDING_FREE: 1.4}
APART = 0.005  # of the held-out loss
MEASURES = ("workers/engine", "tests/benchmarks/training")


def main() -> dict[str, Any]:
    """Measure and print: tokens per CPU second, times faster, loss on held-out examples."""
    notes = Notes(__file__, MEASURES)
    result: dict[str, Any] = {"missing": missing()}
    for size, measure in {"10m": learned, "40m": speeds}.items():  # said as each is done
        before = os.getloadavg()[0]
        result[size] = {**measure(size, notes), "load_average": {"before": before}}
        result[size]["load_average"]["after"] = os.getloadavg()[0]
        sys.stdout.write(json.dumps({size: result[size]}, indent=2) + "\n")
        sys.stdout.flush()
    return result


def missing() -> str:
    """What to install for all to be measured; empty where nothing is missing."""
    absent = [name for name in ("trl", "datasets") if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    install = "pip install -c constraints.txt '.[bench]'"
    return f"TRL is not measured, without {' and '.join(absent)}: {install}"


def contenders() -> tuple[str, ...]:
    return (OURS, GROUPED) if missing() else (OURS, *TARGETS)


def speeds(size: str, notes: Notes) -> dict[str, Any]:
    courses = [Course(size=size, steps=STEPS_40M)] * ROUNDS_40M
    return judged(contest(contenders(), courses, notes.note))


def learned(size: str, notes: Notes) -> dict[str, Any]:
    from tests.benchmarks.training import text

    base, kept = str(text.base(size)), str(notes.folder)
    courses = [Course(size, STEPS, base, EPOCHS, seed, kept) for seed in range(SEEDS)]
    found = contest(contenders(), courses, notes.note)
    adapters = [run["adapter"] for of_one in found["runs"].values() for run in of_one]
    judge = "tests.benchmarks.training.held_out"
    untrained, *losses = answer([judge, base, str(HELD_OUT), *adapters], {})
    of_each = {
        name: losses[at : at + SEEDS]
        for name, at in zip(found["runs"], range(0, len(losses), SEEDS), strict=True)
    }
    return {
        **judged(found),
        "held_out_loss": {
            "untrained": untrained,
            **{name: statistics.mean(of_seeds) for name, of_seeds in of_each.items()},
        },
        "against_ours": {
            name: compared(of_each[OURS], of_each[name]) for name in of_each if name != OURS
        },
    }


def judged(found: Mapping[str, Any]) -> dict[str, Any]:
    """A contest's result: its speeds against ours, and what its first runs say of themselves."""
    rate, first = found["tokens_per_cpu_s"], {n: runs[0] for n, runs in found["runs"].items()}
    told = "examples_see_each_other"
    return {
        **found,
        "times_faster": {name: rate[OURS] / rate[name] for name in rate if name != OURS},
        "target": {name: TARGETS[name] for name in rate if name != OURS},
        "updates": {name: len(run["seconds"]) for name, run in first.items()},
        "tokens": {name: sum(run["tokens"]) for name, run in first.items()},
        told: {name: run[told] for name, run in first.items() if told in run},
    }


def compared(ours: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    """How far our held-out losses are above others', as a share of theirs, seed by seed."""
    shares = [a / b - 1 for a, b in zip(ours, others, strict=True)]
    mean = statistics.mean(shares)
    return {
        "least": min(shares),
        "mean": mean,
        "most": max(shares),
        "within": abs(mean) <= APART,
        "within_for_each_seed": all(abs(share) <= APART for share in shares),
    }


if __name__ == "__main__":
    main()
