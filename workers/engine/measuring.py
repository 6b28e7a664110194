"""Measures how fast this machine trains, for `profiles.estimate`.

`python -m workers.engine.measuring BASE_FOLDER [TASK …]` takes some seconds for each task and
method, and writes its profile as a line of JSON. For text generation passes of different make are
timed and their costs fitted (`fit`); then whole runs say how far the fit is off (`calibration`).
What all other tasks cost, short runs of theirs tell (`trials`).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from workers.engine import devices
from workers.engine.calibration import calibrated
from workers.engine.clocks import clock_of
from workers.engine.data.packing import Ints, Pack, join, pack
from workers.engine.errors import EngineError
from workers.engine.fitting import Numbers, nonnegative
from workers.engine.kernels.block import fast_blocks
from workers.engine.losses import batch_loss
from workers.engine.methods.lora.bank import AdapterBank, Segment
from workers.engine.methods.lora.method import Seat
from workers.engine.methods.method import Method, method_open
from workers.engine.models import Batch, config_of, model_load, shape_of
from workers.engine.profiles import TEXT_GENERATION, DataSize, Profile, training_s
from workers.engine.protocol import Numerics
from workers.engine.shapes import Shape
from workers.engine.specs import FineTuneSpec
from workers.engine.training.optim import OPTIMISERS
from workers.engine.trials import measure_task

SEQUENCE, MEMBERS = 64, 8  # tokens of each member's part in a shared pass, and members
REPEATS = 5
SMALLEST_SPREAD = 0.15
METHODS = {"text_generation": ("lora", "full"), "preference": ("lora", "full")}
WHOLE = ("full",)  # of all other tasks


@dataclass(frozen=True)
class Plan:
    """A pass to time: sequences of these lengths, the part that is learned, the adapter's rank."""

    lengths: tuple[int, ...]
    learned: float
    rank: int = 8

    def spec(self, spec: FineTuneSpec) -> FineTuneSpec:
        """The fine-tune whose one update this pass is."""
        lora = replace(spec.lora, rank=self.rank)
        return replace(spec, batch_size=len(self.lengths), lora=lora)

    @property
    def size(self) -> DataSize:
        learned = sum(int(n * self.learned) - (self.learned == 1) for n in self.lengths)
        return DataSize(len(self.lengths), sum(self.lengths), learned)


PLANS = (
    Plan((64,), 1.0),
    Plan((32,) * 4, 0.5),
    Plan((16,) * 24, 0.5),
    Plan((64,) * 12, 0.25),
    Plan((64,) * 12, 1.0),
    Plan((256,) * 2, 0.5),
    Plan((128,) * 8, 1.0),
    Plan((64,), 1.0, rank=64),
    Plan((64,) * 12, 0.5, rank=64),
    Plan((128,) * 8, 1.0, rank=64),
)


def measure(base: Path, numerics: Numerics, spec: FineTuneSpec) -> Profile:
    """A profile of this machine for fine-tunes like `spec`: medians of a few real updates."""
    begin = time.perf_counter()
    devices.settle(numerics)
    clock = clock_of(numerics.device)
    model = model_load(base, dtype=numerics.dtype, device=numerics.device)
    shape = shape_of(model)
    load_s = time.perf_counter() - begin
    with fast_blocks(model):
        taken = [_plan_seconds(model, plan, spec, base, numerics.device, clock) for plan in PLANS]
    with fast_blocks(model), method_open(model, spec, base, None) as method:
        update_s = _update_seconds(model, method, spec, numerics.device, clock)
    profile = fit(
        spec,
        shape,
        [statistics.median(each) for each in taken],
        Profile(
            device=numerics.device,
            dtype=numerics.dtype,
            threads=numerics.threads,
            flops=1.0,
            update_s=update_s,
            pack_s=0.0,
            load_s=load_s,
            spread=_spread(taken[-1]),
            method=spec.method,
            rank=spec.lora.rank,
        ),
    )
    if spec.method == "lora":
        with fast_blocks(model):
            shared = statistics.median(_shared_seconds(model, spec, base, numerics.device, clock))
        profile = replace(profile, segment_s=_segment_s(spec, shape, profile, shared))
    return calibrated(model, base, spec, profile, clock)


def fit(spec: FineTuneSpec, shape: Shape, seconds: Sequence[float], profile: Profile) -> Profile:
    """The profile whose costs explain the `seconds` of the PLANS best, relatively; none negative.

    Least squares; a cost that would be negative is left out.
    """
    nothing = replace(profile, pack_s=0.0, column_s=0.0, sequence_s=0.0, square_s=0.0)
    frozen = replace(nothing, flops=1.0, adapter_flops=math.inf)
    adapters = replace(nothing, flops=math.inf, adapter_flops=1.0)
    rows = []
    for plan in PLANS:
        one, size, squares = plan.spec(spec), plan.size, sum(n * n for n in plan.lengths)
        work, thin = (training_s(one, shape, size, each) for each in (frozen, adapters))
        columns = plan.rank if spec.method == "lora" else 0.0
        squares *= shape.layers * shape.hidden
        rows.append([work, 1.0, size.examples, squares, thin, columns])
    costs = np.array(rows) / np.array(seconds)[:, None]
    found = nonnegative(costs)
    return replace(
        profile,
        flops=float(1 / found[0] if found[0] > 0 else _alone(costs)),
        pack_s=float(found[1]),
        sequence_s=float(found[2]),
        square_s=float(found[3]),
        adapter_flops=float(1 / found[4]) if found[4] > 0 else None,
        column_s=float(found[5]),
    )


def _alone(costs: Numbers) -> float:
    """Operations per second where work alone explains the largest pass: too small to tell more."""
    return float(costs[:, 0].max())


def _segment_s(spec: FineTuneSpec, shape: Shape, profile: Profile, shared: float) -> float:
    """What each part of a shared pass cost beyond one member's pass of the same tokens."""
    tokens = MEMBERS * SEQUENCE
    whole = replace(spec, batch_size=MEMBERS, micro_batch_tokens=tokens)
    alike = training_s(whole, shape, DataSize(MEMBERS, tokens, tokens - MEMBERS), profile)
    return max(0.0, shared - alike) / MEMBERS


def _spread(times: Sequence[float]) -> float:
    middle = statistics.median(times)
    return min(0.9, max(SMALLEST_SPREAD, (max(times) - min(times)) / 2 / middle))


def _plan_seconds(
    model: nn.Module,
    plan: Plan,
    spec: FineTuneSpec,
    base: Path,
    device: str,
    clock: Callable[[], float],
) -> list[float]:
    with method_open(model, plan.spec(spec), base, None) as method:
        found = _timed(model, _batch(model, plan, device), clock)
        for parameter in method.parameters.values():
            parameter.grad = None
    return found


def _batch(model: nn.Module, plan: Plan, device: str) -> Batch:
    return Batch.of(_pack(plan, config_of(model).vocab_size), device)


def _pack(plan: Plan, vocabulary: int) -> Pack:
    """Sequences of arbitrary tokens whose last part is learned."""
    draws = np.random.default_rng(0)

    def sequence(length: int) -> tuple[Ints, Ints]:
        mask = np.zeros(length, dtype=np.uint8)
        mask[length - int(length * plan.learned) :] = 1
        return draws.integers(vocabulary, size=length), mask

    return pack([sequence(length) for length in plan.lengths])


def _train_on(model: nn.Module, batch: Batch) -> None:
    loss, _ = batch_loss(model, batch)
    (loss / len(batch.labels)).backward()  # type: ignore[no-untyped-call]
    loss.item()


def _shared_seconds(
    model: nn.Module, spec: FineTuneSpec, base: Path, device: str, clock: Callable[[], float]
) -> list[float]:
    """One pass of several members' adapters, each on a sequence of its own."""
    own = Plan((SEQUENCE,), 1.0)
    packs = [_pack(own, config_of(model).vocab_size) for _ in range(MEMBERS)]
    with ExitStack() as stack:
        bank = stack.enter_context(AdapterBank(model))
        places = packs[0].weight
        for number in range(MEMBERS):
            seat = Seat(bank, str(number))
            stack.enter_context(method_open(model, spec, base, None, seat=seat))
        bank.layout.length = MEMBERS * SEQUENCE
        bank.layout.segments = [
            Segment(
                str(number),
                tokens=slice(number * SEQUENCE, (number + 1) * SEQUENCE),
                places=slice(number * places, (number + 1) * places),
            )
            for number in range(MEMBERS)
        ]
        return _timed(model, Batch.of(join(packs), device), clock)


def _timed(model: nn.Module, batch: Batch, clock: Callable[[], float]) -> list[float]:
    """Seconds of each of some passes after a first."""
    _train_on(model, batch)
    found = []
    for _ in range(REPEATS):
        begin = clock()
        _train_on(model, batch)
        found.append(clock() - begin)
    return found


def _update_seconds(
    model: nn.Module, method: Method, spec: FineTuneSpec, device: str, clock: Callable[[], float]
) -> float:
    parameters = list(method.parameters.values())
    for parameter in parameters:
        parameter.grad = None
    optimiser = OPTIMISERS[spec.optimiser](parameters, spec)
    batch = _batch(model, PLANS[0], device)
    found = []
    for _ in range(REPEATS):
        _train_on(model, batch)
        begin = clock()
        optimiser.clip(optimiser.gather(), 1.0)
        optimiser.step(0.0)
        found.append(clock() - begin)
    return statistics.median(found)


def profiles_of(base: Path, numerics: Numerics, tasks: Sequence[str]) -> Iterator[Profile]:
    """What fine-tunes of `tasks` cost here, by each method; text generation comes first.

    A task that this base cannot learn after all (it has no tokenizer, …) is left out, and said.
    """
    texts: dict[str, Profile] = {}
    for task in tasks:
        for method in METHODS.get(task, WHOLE):
            spec = FineTuneSpec(task=task, method=method)
            try:
                if task == TEXT_GENERATION:
                    found = texts[method] = measure(base, numerics, spec)
                else:
                    found = measure_task(base, numerics, spec, text=texts.get(method))
            except EngineError as error:
                sys.stderr.write(f"{task}, {method}: {error}\n")
                continue
            yield found


def main() -> int:
    """The command line; 1 where nothing could be measured."""
    up_s = time.process_time()  # what a job's process takes to import all this
    parser = argparse.ArgumentParser(description="Measure how fast this machine trains.")
    parser.add_argument("base", type=Path)
    parser.add_argument("tasks", nargs="*", default=[TEXT_GENERATION])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    numerics = Numerics(threads=given.threads, device=given.device)
    measured = False
    for profile in profiles_of(given.base, numerics, given.tasks):
        found = asdict(replace(profile, load_s=profile.load_s + up_s))
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
        measured = True
    return 0 if measured else 1


if __name__ == "__main__":
    sys.exit(main())
