"""Peak memory of a real fine-tune, against what is estimated: `python -m …peak BASE SPEC`.

Two updates whose passes are as full as the settings allow. The answer is the largest resident size
of this process, in bytes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from workers.engine import devices
from workers.engine.data.readers import Example
from workers.engine.data.shards import Shards
from workers.engine.kernels.block import fast_blocks
from workers.engine.methods.method import method_open
from workers.engine.models import config_of, model_load
from workers.engine.protocol import JSONL, Handle, Member, Numerics
from workers.engine.specs import FineTuneSpec
from workers.engine.tasks.text_generation import TextGeneration
from workers.engine.training.activation import checkpointing
from workers.engine.training.member import Run

UPDATES = 2


def main(base: Path, given: FineTuneSpec) -> int:
    numerics = devices.settle(Numerics())
    model, mode = model_load(base), given.activation_checkpointing
    vocabulary, draws = config_of(model).vocab_size, np.random.default_rng(0)
    length, count = given.max_length, given.batch_size * UPDATES
    learned = [0] * (length // 2) + [1] * (length - length // 2)
    examples = [
        Example(line, draws.integers(2, vocabulary, length).tolist(), learned)
        for line in range(1, count + 1)
    ]
    with (
        tempfile.TemporaryDirectory() as name,
        fast_blocks(model, selective=mode == "selective"),
        checkpointing(model, mode),
        method_open(model, given, base, None) as opened,
    ):
        data = Shards.write(examples, Path(name), vocabulary=vocabulary)
        member, task = Member("m", given, Handle(base, JSONL, "")), TextGeneration(base, given)
        run = Run(member, task, opened, data, None, numerics)
        for _ in range(UPDATES):
            run.update()
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    spec = FineTuneSpec.from_dict(json.loads(sys.argv[2]))
    sys.stdout.write(f"\n{main(Path(sys.argv[1]), spec)}\n")
