"""What checkpointing saves and costs: `python -m …memory METHOD MODE UPDATES` on a 10M Llama.

Updates of 8 sequences of 512 tokens in one pass. The answer holds CPU seconds per update, and the
largest resident size above what the weights and the optimiser take, gradients included.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from tests.benchmarks.training.workload import CONTEXT, SIZES, VOCABULARY, base_make, spec
from workers.engine import devices
from workers.engine.data.readers import Example
from workers.engine.data.shards import Shards
from workers.engine.kernels.block import fast_blocks
from workers.engine.methods.method import method_open
from workers.engine.models import model_load
from workers.engine.protocol import JSONL, Handle, Member, Numerics
from workers.engine.tasks.text_generation import TextGeneration
from workers.engine.training.activation import checkpointing
from workers.engine.training.member import Run

SEQUENCES = 8


def main(method: str, mode: str, updates: int) -> None:
    devices.settle(Numerics())
    draws = np.random.default_rng(0)
    learned = [0] + [1] * (CONTEXT - 1)
    examples = [
        Example(line, draws.integers(2, VOCABULARY, CONTEXT).tolist(), learned)
        for line in range(1, SEQUENCES * updates + 1)
    ]
    given = spec(
        method=method,
        batch_size=SEQUENCES,
        micro_batch_tokens=SEQUENCES * CONTEXT,
        activation_checkpointing=mode,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = base_make(folder / "base", SIZES["10m"])
        model = model_load(base)
        data = Shards.write(examples, folder / "shards", vocabulary=VOCABULARY)
        with (
            fast_blocks(model, selective=mode == "selective"),
            checkpointing(model, mode),
            method_open(model, given, base, None) as opened,
        ):
            run = Run(
                Member("m", given, Handle(base, JSONL, "")),
                TextGeneration(base, given),
                opened,
                data,
                None,
                Numerics(),
            )
            for tensors in run.optimiser.slots.values():
                for tensor in tensors:
                    tensor.zero_()  # so that its pages are there already
            gradients = sum(p.grad.nbytes for p in run.parameters.values() if p.grad is not None)
            before = psutil.Process().memory_info().rss - gradients
            seconds = []
            for _ in range(updates):
                begin = time.process_time()
                run.update()
                seconds.append(time.process_time() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {"seconds": seconds, "peak_bytes": peak - before, "before_bytes": before}
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
