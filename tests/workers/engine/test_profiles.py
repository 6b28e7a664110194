"""Estimates: from a measurement of this machine to the time a real fine-tune takes on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.workers.engine.factories import spec
from workers.engine import devices
from workers.engine.measuring import measure
from workers.engine.methods.lora.method import LoraMethod
from workers.engine.models import model_load
from workers.engine.profiles import (
    DataSize,
    Profile,
    Shape,
    adapter_parameters,
    estimate,
    flops_per_token,
)
from workers.engine.protocol import Numerics

PROFILE = Profile("cpu", "float32", 1, flops=1e9, update_s=0.01, pack_s=0.002, load_s=1, spread=0.2)
SHAPE = Shape(parameters=1_000_000, layers=4, hidden=128, vocabulary=4096)
DATA = DataSize(examples=100, tokens=10_000, loss_tokens=4_000)


def test_a_full_fine_tune_costs_the_textbooks_six_operations_per_weight_and_token() -> None:
    """2 forward, 4 backward (Kaplan et al. 2020, arXiv:2001.08361); recomputing adds 2 again."""
    full = spec(method="full")
    assert flops_per_token(full, SHAPE) == 6e6
    assert flops_per_token(replace(full, activation_checkpointing="full"), SHAPE) == 8e6
    assert 4e6 < flops_per_token(spec(), SHAPE) < 6e6


def test_an_estimate_adds_up() -> None:
    # one epoch of 100 examples by 4: 25 updates of one pass each, 10,000 tokens at 6 million
    # operations
    found = estimate(spec(method="full", epochs=1, evaluate_each_epoch=False), SHAPE, DATA, PROFILE)
    assert found.seconds == pytest.approx(60 + 25 * 0.01 + 25 * 0.002 + 1)
    assert found.tokens == 10_000
    assert found.seconds_low < found.seconds < found.seconds_high
    assert found.memory_bytes < found.memory_bytes_high


def test_more_work_never_costs_less() -> None:
    small = estimate(spec(epochs=1), SHAPE, DATA, PROFILE)
    for changed in (
        estimate(spec(epochs=2), SHAPE, DATA, PROFILE),
        estimate(spec(epochs=1), replace(SHAPE, parameters=2_000_000), DATA, PROFILE),
        estimate(spec(epochs=1), SHAPE, replace(DATA, validation_tokens=500), PROFILE),
        estimate(spec(epochs=1, activation_checkpointing="full"), SHAPE, DATA, PROFILE),
        estimate(spec(epochs=1), SHAPE, DATA, replace(PROFILE, flops=5e8)),
    ):
        assert changed.seconds > small.seconds
    assert (
        estimate(spec(activation_checkpointing="full"), SHAPE, DATA, PROFILE).memory_bytes
        < estimate(spec(), SHAPE, DATA, PROFILE).memory_bytes
    )


def test_the_adapters_size_is_near_that_of_a_real_one(base: Path) -> None:
    with LoraMethod(model_load(base), spec(), base, None) as method:
        real = sum(p.numel() for p in method.parameters.values())
    assert adapter_parameters(spec(), Shape.of_folder(base)) == pytest.approx(real, rel=0.35)


def test_the_bounds_lie_a_like_factor_to_either_side() -> None:
    found = estimate(spec(), SHAPE, DATA, replace(PROFILE, spread=0.9))
    assert 0 < found.seconds_low < found.seconds
    assert found.seconds / found.seconds_low == pytest.approx(found.seconds_high / found.seconds)


@pytest.mark.parametrize(
    ("device", "worker_class"), [("cpu", "cpu"), ("cuda:0", "gpu"), ("xla", "tpu")]
)
def test_a_profile_speaks_for_one_class_of_workers(device: str, worker_class: str) -> None:
    assert replace(PROFILE, device=device).worker_class == worker_class


def test_what_is_measured_is_this_machines(base: Path) -> None:
    profile = measure(base, Numerics(threads=1), spec())
    assert min(profile.flops, profile.update_s, profile.load_s, profile.spread) > 0
    assert profile.segment_s is not None
    assert profile.segment_s >= 0
    assert (profile.device, profile.worker_class, profile.threads) == ("cpu", "cpu", 1)


def test_a_fingerprint_tells_machines_and_settings_apart() -> None:
    one = devices.fingerprint(Numerics(threads=1))
    assert one == devices.fingerprint(Numerics())
    assert one != devices.fingerprint(Numerics(threads=2))
    found = devices.describe()
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 2**28
