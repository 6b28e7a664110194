"""Training against what a user would pick instead: transformers' Trainer with PEFT, on one core.

    python -m tests.benchmarks bench_training

LoRA of rank 8 on every linear layer, Llamas of 10M and 40M parameters, 8 examples per update,
lengths log-normal from 20 to 400 tokens, 30–60 % of them prompt. Same initial adapter, same
examples per update, same optimiser; contenders in turn, forwards and backwards.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.benchmarks.training.contest import OURS, OURS_BF16, Course, contest, run

ROUNDS, STEPS = 5, 13
EQUAL_STEPS, TOLERANCE = 100, 1e-4
TARGETS = {"10m": {"stock": 4.0, "grouped": 2.0}, "40m": {"stock": 3.0, "grouped": 2.0}}


def main() -> dict[str, Any]:
    """Measure and print: tokens per CPU second, times faster, largest difference in loss."""
    result = {}
    for size in TARGETS:  # said as each is done: a size takes a quarter of an hour
        result[size] = measured(size)
        sys.stdout.write(json.dumps({size: result[size]}, indent=2) + "\n")
        sys.stdout.flush()
    return result


def measured(size: str) -> dict[str, Any]:
    course = Course(size=size, steps=STEPS)
    found = contest((OURS, OURS_BF16, "stock", "grouped"), [course] * ROUNDS)
    speeds = found["tokens_per_cpu_s"]
    one, other = (
        run(name, Course(size=size, steps=EQUAL_STEPS))["losses"] for name in (OURS, "stock")
    )
    apart = max(abs(a - b) for a, b in zip(one, other, strict=True))
    return {
        **found,
        "times_faster": {name: speeds[OURS] / speeds[name] for name in TARGETS[size]},
        "times_faster_with_a_bf16_base": {
            name: speeds[OURS_BF16] / speeds[name] for name in TARGETS[size]
        },
        "target": TARGETS[size],
        "padding_efficiency": found["runs"][OURS][0]["padding_efficiency"],
        "loss": {"first": one[0], "last": one[-1], "largest_difference": apart},
        "losses_equal": apart <= TOLERANCE,
    }


if __name__ == "__main__":
    main()
