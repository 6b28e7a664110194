"""Cohorts of small tenants, and one tenant after another: `python -m …together WHO STEPS BASE`.

WHO is how many train in each pass, "alone", or "stock": one of transformers' Trainer with PEFT.

Each tenant's update is one example of 47 ± 20 % tokens. The answer holds CPU seconds per tenant and
update, and the process's memory beyond its imports: proportional set size, so that pages which
several processes map count once in all.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.training.workload import VOCABULARY, spec
from workers.engine import devices
from workers.engine.data.readers import Example
from workers.engine.data.shards import Shards
from workers.engine.kernels.block import fast_blocks
from workers.engine.methods.lora.bank import AdapterBank
from workers.engine.methods.lora.method import Seat
from workers.engine.methods.method import method_open
from workers.engine.models import model_load
from workers.engine.protocol import JSONL, Handle, Member, Numerics
from workers.engine.tasks.text_generation import TextGeneration
from workers.engine.training.cohort import Cohort, Place
from workers.engine.training.member import Run

TYPICAL, SPREAD = 47, 0.2  # tokens of a tenant's update
WARM_UP = 5  # updates
ALONE, STOCK = "alone", "stock"


class Bench:
    """One process's tenants over one base, `count` of them in each pass, or one alone (0)."""

    def __init__(self, base: Path, scratch: Path, steps: int) -> None:
        self.base, self.scratch, self.steps = base, scratch, steps
        self.model = model_load(base)

    def run(self, seat: Seat | None, number: int, stack: ExitStack) -> Run:
        given = spec(batch_size=1, seed=number)
        data = Shards.write(
            examples_of(number, self.steps), self.scratch / f"{number}", vocabulary=VOCABULARY
        )
        method = stack.enter_context(method_open(self.model, given, self.base, None, seat=seat))
        member = Member(str(number), given, Handle(self.base, JSONL, ""))
        return Run(member, TextGeneration(self.base, given), method, data, None, Numerics())

    def alone(self) -> float:
        """CPU seconds per update of one tenant."""
        with ExitStack() as stack:
            stack.enter_context(fast_blocks(self.model))
            run = self.run(None, 0, stack)
            return timed(run.update, self.steps)

    def together(self, count: int) -> float:
        """CPU seconds per tenant and update, of `count` tenants in each pass."""
        with ExitStack() as stack:
            stack.enter_context(fast_blocks(self.model))
            bank = stack.enter_context(AdapterBank(self.model))
            cohort = Cohort(Table(), bank, None)  # type: ignore[arg-type]
            runs = [self.run(Seat(bank, str(n)), n, stack) for n in range(count)]
            for run in runs:
                cohort.seats[run.member.key] = Place(None, ExitStack())  # type: ignore[arg-type]

            def update() -> None:
                gathered, _ = cohort._gather(runs)
                for run in runs:
                    run.conclude(*gathered[run.member.key])

            return timed(update, self.steps) / count


def examples_of(tenant: int, steps: int) -> list[Example]:
    """One for each of a tenant's updates."""
    draws = np.random.default_rng(tenant)
    lengths = (TYPICAL * (1 + draws.uniform(-SPREAD, SPREAD, steps))).astype(int)
    examples = []
    for line, n in enumerate(lengths, 1):
        prompt = int(n) // 2
        mask = [0] * prompt + [1] * (int(n) - prompt)
        examples.append(Example(line, draws.integers(2, VOCABULARY, n).tolist(), mask))
    return examples


class Table:
    """The part of a pass's base that sharing it needs."""

    class work:  # noqa: N801
        pass_tokens = 4096
        numerics = Numerics()


def timed(update: Any, steps: int) -> float:
    for _ in range(WARM_UP):
        update()
    begin = time.process_time()
    for _ in range(steps - WARM_UP):
        update()
    return (time.process_time() - begin) / (steps - WARM_UP)


def memory_bytes() -> int:
    """This process's proportional set size."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def main(who: str, steps: int, base: Path) -> None:
    """One process of the memory contest: says when it is at its largest, and waits to go on."""
    scratch = Path(tempfile.mkdtemp(dir=base))
    if who == STOCK:
        from tests.benchmarks.training import stock  # what imports take is not counted

        before = memory_bytes()
        stock.train(
            base,
            examples_of(0, steps),
            adapter_of(base),
            scratch,
            batch=1,
            at_end=lambda: stand(before),
        )
        return
    before = memory_bytes()
    devices.settle(Numerics())
    bench = Bench(base, scratch, steps)
    if who == ALONE:
        bench.alone()
    else:
        bench.together(int(who))
    stand(before)


def stand(before: int) -> None:
    """Wait until all others stand, too; tell the memory beyond `before`; wait to be let go."""
    say("ready")
    sys.stdin.readline()
    say(str(memory_bytes() - before))
    sys.stdin.readline()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def adapter_of(base: Path) -> Path:
    """The adapter that Trainer goes on from, beside the base."""
    return base.with_name("adapter")


def adapter_make(base: Path) -> None:
    """A fresh adapter, by peft itself."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    given = spec().lora
    config = LoraConfig(r=given.rank, lora_alpha=given.alpha, target_modules="all-linear")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    model.save_pretrained(adapter_of(base))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
