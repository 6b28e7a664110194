"""Estimates: from a measurement of this machine to the time a real fine-tune takes on it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.workers.engine.factories import spec
from workers.engine import devices
from workers.engine.measuring import PLANS, fit, measure
from workers.engine.methods.lora.method import LoraMethod
from workers.engine.models import model_load
from workers.engine.profiles import (
    DataSize,
    Profile,
    adapter_parameters,
    estimate,
    flops_per_token,
    nearest,
    profile_key,
    profiles_read,
    training_s,
)
from workers.engine.protocol import Numerics
from workers.engine.shapes import Shape

PROFILE = Profile(
    "cpu", "float32", 1, flops=1e9, update_s=0.01, pack_s=0.002, load_s=1, spread=0.2, rank=4
)
SHAPE = Shape(parameters=1_000_000, layers=4, hidden=128, vocabulary=4096)
DATA = DataSize(examples=100, tokens=10_000, loss_tokens=4_000)


def test_a_full_fine_tune_costs_the_textbooks_six_operations_per_weight_and_token() -> None:
    """2 forward, 4 backward (Kaplan et al. 2020, arXiv:2001.08361); recomputing adds 2 again."""
    full = spec(method="full")
    assert flops_per_token(full, SHAPE) == 6e6
    assert flops_per_token(replace(full, activation_checkpointing="full"), SHAPE) == 8e6
    assert 4e6 < flops_per_token(spec(), SHAPE) < 6e6


def test_an_estimate_adds_up() -> None:
    # one epoch of 100 examples by 4: 25 updates of one pass each. 6 operations for each weight and
    # token: of 10,000 tokens in the body's 475,712 weights, of 4,000 in the head's 4,096 · 128
    work = 6 * (10_000 * 475_712 + 4_000 * 524_288) / 1e9
    found = estimate(spec(method="full", epochs=1, evaluate_each_epoch=False), SHAPE, DATA, PROFILE)
    assert found.seconds == pytest.approx(work + 25 * 0.01 + 25 * 0.002 + 1)
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
    found = estimate(spec(), SHAPE, DATA, replace(PROFILE, spread=0.9, load_s=0))
    assert 0 < found.seconds_low < found.seconds
    assert found.seconds / found.seconds_low == pytest.approx(found.seconds_high / found.seconds)


def test_whole_runs_say_what_half_and_nine_in_ten_stay_below() -> None:
    plain = estimate(spec(), SHAPE, DATA, replace(PROFILE, spread=0.0))
    found = estimate(spec(), SHAPE, DATA, replace(PROFILE, p10=0.9, p50=1.1, p90=1.3))
    computing = plain.seconds - PROFILE.load_s
    for seconds, quantile in (
        (found.seconds_low, 0.9),
        (found.seconds, 1.1),
        (found.seconds_high, 1.3),
    ):
        assert seconds == pytest.approx(PROFILE.load_s + quantile * computing)


def test_sequences_attention_and_passes_cost_apart() -> None:
    """100 examples of 100 tokens: Σ length² = 10⁶, of 4 layers and 128 hidden; a pass holds 50
    tokens, so an update of 400 takes a pass for each of its four examples; of 200, two and a half.
    """
    profile = replace(PROFILE, sequence_s=0.001, square_s=1e-9)
    asked = spec(epochs=1, evaluate_each_epoch=False, micro_batch_tokens=50)
    plain = replace(asked, micro_batch_tokens=1000)
    more = estimate(asked, SHAPE, DATA, profile).seconds
    less = estimate(plain, SHAPE, DATA, PROFILE).seconds
    # at least one example goes into a pass, so four make at most four
    extra = 100 * 0.001 + 1e6 * 4 * 128 * 1e-9 + 25 * 3 * PROFILE.pack_s
    assert more - less == pytest.approx(extra)
    half = estimate(replace(asked, micro_batch_tokens=200), SHAPE, DATA, profile).seconds
    assert more - half == pytest.approx(25 * 1.5 * PROFILE.pack_s)


def test_a_preferences_reference_is_asked_of_each_pair_once() -> None:
    """A pass forward takes a third of one both ways; of each pair both outputs are read."""
    profile = replace(PROFILE, flops=1e30, update_s=0.0, pack_s=0.0, load_s=0.0, sequence_s=0.003)
    data = replace(DATA, validation_tokens=500, validation_examples=7)
    asked = spec(task="preference", epochs=2, evaluate_each_epoch=True)
    found = estimate(asked, SHAPE, data, profile).seconds
    assert found == pytest.approx(2 * (2 * 100 * 0.003 + (3 * 7 + 100 + 7) * 0.001))


def test_another_shape_is_told_by_the_nearest_one_and_less_surely() -> None:
    measured = replace(PROFILE, p10=0.9, p50=1.0, p90=1.2)
    near, far = replace(SHAPE, parameters=3_000_000, layers=8), replace(SHAPE, parameters=10**8)
    other = replace(SHAPE, parameters=20_000_000)
    candidates = {SHAPE: measured, other: replace(measured, flops=5e8)}
    assert nearest(candidates, SHAPE) == measured
    found = nearest(candidates, near)
    assert found is not None
    assert (found.flops, found.pack_s, found.update_s) == (1e9, 0.004, 0.02)
    assert found.quantiles == pytest.approx((0.6, 1.0, 1.8))
    assert nearest({SHAPE: measured}, far) is None
    assert nearest({}, SHAPE) is None


def test_profiles_are_kept_by_class_and_method() -> None:
    full = replace(PROFILE, method="full", device="cuda:0")
    stored = {profile_key(p): asdict(p) for p in (PROFILE, full)}
    assert profiles_read(stored) == {
        ("cpu", "text_generation", "lora"): PROFILE,
        ("gpu", "text_generation", "full"): full,
    }
    assert profiles_read(asdict(PROFILE)) == {("cpu", "text_generation", "lora"): PROFILE}
    assert profiles_read({}) == {}


@pytest.mark.parametrize("missing", [None, "sequence_s", "square_s", "pack_s"])
def test_a_fit_finds_the_costs_that_times_were_made_of(missing: str | None) -> None:
    made = replace(PROFILE, sequence_s=0.003, square_s=2e-8)
    made = replace(made, adapter_flops=3e8, column_s=1e-4)
    made = replace(made, **({missing: 0.0} if missing else {}))
    times = []
    for plan in PLANS:
        size, squares = plan.size, sum(n * n for n in plan.lengths)
        flat = replace(made, square_s=0.0)
        whole = training_s(plan.spec(spec()), SHAPE, size, flat)
        times.append(whole + squares * SHAPE.layers * SHAPE.hidden * made.square_s)
    found = fit(spec(), SHAPE, times, replace(PROFILE, flops=1.0))
    names = ("flops", "pack_s", "sequence_s", "square_s", "adapter_flops", "column_s")
    for name in names:
        assert getattr(found, name) == pytest.approx(getattr(made, name), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("device", "worker_class"), [("cpu", "cpu"), ("cuda:0", "gpu"), ("xla", "tpu")]
)
def test_a_profile_speaks_for_one_class_of_workers(device: str, worker_class: str) -> None:
    assert replace(PROFILE, device=device).worker_class == worker_class


def test_what_is_measured_is_this_machines(base: Path) -> None:
    profile = measure(base, Numerics(threads=1), spec())
    low, middle, high = profile.quantiles
    assert 0 < low < middle < high
    assert min(profile.flops, profile.update_s, profile.load_s, profile.spread) > 0
    assert profile.segment_s is not None
    assert profile.segment_s >= 0
    assert (profile.device, profile.worker_class, profile.threads) == ("cpu", "cpu", 1)


def test_a_fit_without_adapters_has_no_costs_of_theirs(recwarn: pytest.WarningsRecorder) -> None:
    full = spec(method="full")
    times = [training_s(plan.spec(full), SHAPE, plan.size, PROFILE) for plan in PLANS]
    found = fit(full, SHAPE, times, replace(PROFILE, flops=1.0))
    assert (found.flops, found.adapter_flops, found.column_s) == (pytest.approx(1e9), None, 0.0)
    assert not recwarn.list


def test_a_fingerprint_tells_machines_and_settings_apart() -> None:
    one = devices.fingerprint(Numerics(threads=1))
    assert one == devices.fingerprint(Numerics())
    assert one != devices.fingerprint(Numerics(threads=2))
    found = devices.describe()
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 2**28
