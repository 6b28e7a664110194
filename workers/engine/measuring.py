"""Measures how fast this machine trains, for `profiles.estimate`.

`python -m workers.engine.measuring BASE_FOLDER` takes some seconds, and writes a profile as a line
of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from workers.engine import devices
from workers.engine.data.packing import Pack, join, pack
from workers.engine.kernels.block import fast_blocks
from workers.engine.losses import loss_sum
from workers.engine.methods.lora.bank import AdapterBank, Segment
from workers.engine.methods.lora.method import Seat
from workers.engine.methods.method import Method, method_open
from workers.engine.models import Batch, config_of, logits_of, model_load
from workers.engine.profiles import Profile, Shape, flops_per_token
from workers.engine.protocol import Numerics
from workers.engine.specs import FineTuneSpec
from workers.engine.training.optim import OPTIMISERS

SMALL, LARGE = 64, 2048  # tokens per pass
SEQUENCE = 64  # tokens
MEMBERS = 8  # of a shared pass, a sequence each
REPEATS = 7
SMALLEST_SPREAD = 0.15


def measure(base: Path, numerics: Numerics, spec: FineTuneSpec) -> Profile:
    """A profile of this machine for fine-tunes like `spec`: medians of a few real updates."""
    begin = time.perf_counter()
    devices.settle(numerics)
    model = model_load(base, dtype=numerics.dtype, device=numerics.device)
    with fast_blocks(model), method_open(model, spec, base, None) as method:
        load_s = time.perf_counter() - begin
        small = _pass_seconds(model, method, SMALL, numerics.device)
        large = _pass_seconds(model, method, LARGE, numerics.device)
        update_s = _update_seconds(model, method, spec, numerics.device)
    with fast_blocks(model):
        shared = _shared_seconds(model, spec, base, numerics.device)
    per_token = (statistics.median(large) - statistics.median(small)) / (LARGE - SMALL)
    middle = statistics.median(large)
    spread = max(SMALLEST_SPREAD, (max(large) - min(large)) / 2 / middle)
    pack_s = max(0.0, statistics.median(small) - SMALL * per_token)
    alike = pack_s + MEMBERS * SEQUENCE * per_token
    return Profile(
        device=numerics.device,
        dtype=numerics.dtype,
        threads=numerics.threads,
        flops=flops_per_token(spec, Shape.of_folder(base)) / per_token,
        update_s=update_s,
        pack_s=pack_s,
        load_s=load_s,
        spread=min(spread, 0.9),
        segment_s=max(0.0, statistics.median(shared) - alike) / MEMBERS,
    )


def _pack(tokens: int, vocabulary: int) -> Pack:
    """Sequences of arbitrary tokens, all of them learned."""
    draws = np.random.default_rng(0)
    ones = np.ones(SEQUENCE, dtype=np.uint8)
    return pack(
        [(draws.integers(vocabulary, size=SEQUENCE), ones) for _ in range(tokens // SEQUENCE)]
    )


def _train_on(model: nn.Module, batch: Batch) -> None:
    loss = loss_sum(logits_of(model, batch), batch.labels) / len(batch.labels)
    loss.backward()  # type: ignore[no-untyped-call]
    loss.item()


def _pass_seconds(model: nn.Module, method: Method, tokens: int, device: str) -> list[float]:
    found = _timed(model, Batch.of(_pack(tokens, config_of(model).vocab_size), device))
    for parameter in method.parameters.values():
        parameter.grad = None
    return found


def _shared_seconds(model: nn.Module, spec: FineTuneSpec, base: Path, device: str) -> list[float]:
    """One pass of several members' adapters, each on a sequence of its own."""
    packs = [_pack(SEQUENCE, config_of(model).vocab_size) for _ in range(MEMBERS)]
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
        return _timed(model, Batch.of(join(packs), device))


def _timed(model: nn.Module, batch: Batch) -> list[float]:
    """Seconds of each of some passes after a first."""
    _train_on(model, batch)
    found = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        _train_on(model, batch)
        found.append(time.perf_counter() - begin)
    return found


def _update_seconds(model: nn.Module, method: Method, spec: FineTuneSpec, device: str) -> float:
    parameters = list(method.parameters.values())
    optimiser = OPTIMISERS[spec.optimiser](parameters, spec)
    batch = Batch.of(_pack(SMALL, config_of(model).vocab_size), device)
    found = []
    for _ in range(REPEATS):
        _train_on(model, batch)
        begin = time.perf_counter()
        optimiser.clip(optimiser.gather(), 1.0)
        optimiser.step(0.0)
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


def main() -> None:
    """The command line."""
    up_s = time.process_time()  # what a job's process takes to import all this
    parser = argparse.ArgumentParser(description="Measure how fast this machine trains.")
    parser.add_argument("base", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    profile = measure(
        given.base, Numerics(threads=given.threads, device=given.device), FineTuneSpec()
    )
    found = asdict(replace(profile, load_s=profile.load_s + up_s))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
