"""Our engine's updates, one by one, on the benchmark's examples."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.training.workload import VOCABULARY
from workers.engine import devices
from workers.engine.data.readers import Example
from workers.engine.data.shards import Shards
from workers.engine.kernels.block import fast_blocks
from workers.engine.methods.method import method_open
from workers.engine.models import model_load
from workers.engine.protocol import JSONL, Handle, Member, Numerics
from workers.engine.specs import FineTuneSpec
from workers.engine.tasks.text_generation import TextGeneration
from workers.engine.training.member import Run


def train(
    base: Path,
    examples: list[Example],
    *,
    spec: FineTuneSpec,
    scratch: Path,
    adapter: Path | None,
    kept: Path,
    dtype: str = "float32",
) -> dict[str, list[float]]:
    """Each update's loss and tokens, and the CPU seconds from the end of the one before.

    The trained adapter goes to `kept`.
    """
    with begun(base, examples, spec, scratch, adapter=adapter, dtype=dtype) as run:
        found: dict[str, list[float]] = {"losses": [], "tokens": [], "seconds": []}
        mark = time.process_time()
        while run.state.step < run.steps:
            done = run.update()
            found["losses"].append(done.loss)
            found["tokens"].append(done.tokens)
            found["seconds"].append(time.process_time() - mark)
            mark += found["seconds"][-1]
        run.method.save(kept)
    return found


@contextmanager
def begun(
    base: Path,
    examples: list[Example],
    spec: FineTuneSpec,
    scratch: Path,
    *,
    adapter: Path | None,
    dtype: str = "float32",
) -> Iterator[Run]:
    """A run before its first update."""
    devices.settle(Numerics(threads=1))
    model = model_load(base, dtype=dtype)
    data = Shards.write(examples, scratch / "shards", vocabulary=VOCABULARY)
    with fast_blocks(model), method_open(model, spec, base, adapter) as method:
        yield Run(
            Member("m", spec, Handle(base, JSONL, "")),
            TextGeneration(base, spec),
            method,
            data,
            None,
            Numerics(),
        )
