"""Half the digits: near the exact run, fp16 with its loss scaled, and no type chosen untold."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workers.engine.factories import Recorder, handle, spec, work
from tests.workers.engine.training.factories import weights
from workers.engine import devices
from workers.engine.checks import SpecError
from workers.engine.protocol import Command, Member, Numerics, Outcome, Result
from workers.engine.training import precision
from workers.engine.training.loop import train
from workers.engine.training.precision import FIRST_SCALE, Precision
from workers.engine.training.ranks import ALONE

# bf16 rounds each factor of a product to 8 bits (2⁻⁹ relative), fp16 to 11 (2⁻¹²). A loss of about
# six nats after some updates may be off by a few such roundings: eight are allowed.
TOLERANCE = {"bfloat16": 8 * 2**-9, "float16": 8 * 2**-12}
# fp16's scale makes no difference to what bf16 does not need it for
SETTINGS: dict[str, dict[str, Any]] = {
    "lora": {},
    "full": {"method": "full", "learning_rate": 1e-3},
}


def trained(
    base: Path, data: Path, folder: Path, progress: Recorder, dtype: str, **given: Any
) -> Result:
    resume = given.pop("resume", None)
    one = work(base, folder, Member("m", spec(**given), handle(data), resume=resume))
    (result,) = train(replace(one, numerics=replace(one.numerics, dtype=dtype)), progress)
    assert result.error is None, result.error
    return result


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("method", SETTINGS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_losses_stay_near_those_of_fp32(
    bases: dict[str, Path], data: Path, tmp_path: Path, family: str, method: str, dtype: str
) -> None:
    exact, short = Recorder(tmp_path), Recorder(tmp_path)
    given = {"epochs": 1, **SETTINGS[method]}
    trained(bases[family], data, tmp_path / "exact", exact, "float32", **given)
    result = trained(bases[family], data, tmp_path / "short", short, dtype, **given)
    assert short.losses() == pytest.approx(exact.losses(), rel=TOLERANCE[dtype])
    assert short.losses() != exact.losses()
    # what is kept and trained on has all its digits
    assert {weight.dtype for weight in weights(result).values()} == {torch.float32}
    assert exact.losses()[-1] < exact.losses()[0]


def test_fp16_goes_on_from_a_snapshot_bit_for_bit(base: Path, data: Path, tmp_path: Path) -> None:
    whole, second = Recorder(tmp_path), Recorder(tmp_path)
    paused = Recorder(tmp_path, lambda step: Command.PAUSE if step == 4 else Command.GO)
    one = trained(base, data, tmp_path / "one", whole, "float16")
    assert trained(base, data, tmp_path / "a", paused, "float16").outcome is Outcome.PAUSED
    ((_, snapshot),) = paused.snapshots
    two = trained(base, data, tmp_path / "b", second, "float16", resume=snapshot)
    assert second.events[1][3] == {"step": 4, "bit_equal": True}
    found = weights(two)
    assert all(torch.equal(weight, found[name]) for name, weight in weights(one).items())


def test_a_gradient_too_large_for_the_scale_is_made_again_with_a_smaller_one() -> None:
    precision = Precision(Numerics(dtype="float16"), "lora", ALONE)
    weight = torch.nn.Parameter(torch.ones(3))
    made = 0
    while True:
        made += 1
        # a product in fp16, whose gradient is 8 times the scale: 2¹⁶ · 8 is infinite there
        loss = ((weight.half() * 8).float()).sum()
        precision.scaled(loss).backward()
        if precision.unscale([weight]):
            break
        weight.grad = None
    assert made == 5  # 8 · 2¹² = 2¹⁵ is the first below 65,504
    assert precision.state()["scale"] == FIRST_SCALE / 2**4
    assert weight.grad is not None
    assert weight.grad.tolist() == [8.0, 8.0, 8.0]


def test_a_gradient_that_is_infinite_at_any_scale_is_told_as_it_is() -> None:
    precision = Precision(Numerics(dtype="float16"), "lora", ALONE)
    weight = torch.nn.Parameter(torch.ones(1))
    made = 0
    while True:
        made += 1
        weight.grad = torch.full((1,), math.inf)
        precision.scaled(weight.sum()).detach()
        if precision.unscale([weight]):
            break
    assert made == 17  # from 2¹⁶ down to one; then the run says that it diverged


def test_fp32_on_a_cpu_unless_asked_for_another() -> None:
    assert devices.settle(Numerics(dtype="auto")).dtype == "float32"
    assert devices.settle(Numerics(dtype="bfloat16")).dtype == "bfloat16"


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"float32": 1.0, "bfloat16": 40.0, "float16": 50.0}, "float32"),  # a CPU without AMX
        ({"float32": 1.0, "bfloat16": 0.9, "float16": 0.9}, "float32"),  # hardly worth it
        ({"float32": 1.0, "bfloat16": 0.125, "float16": 0.12}, "bfloat16"),  # needs no scale
        ({"float32": 1.0, "bfloat16": math.inf, "float16": 0.2}, "float16"),  # an older GPU
    ],
)
def test_the_fast_type_is_the_plainest_that_is_about_as_fast(
    seconds: dict[str, float], chosen: str
) -> None:
    assert devices.fastest(seconds) == chosen


def test_what_is_fast_is_measured_once_on_this_machine() -> None:
    devices.fast_dtype.cache_clear()
    found = devices.fast_dtype("cpu")
    assert found in devices.DTYPES
    assert devices.fast_dtype("cpu") == found
    assert devices.fast_dtype.cache_info().hits == 1


def test_a_type_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SpecError, match="dtype"):
        spec(dtype="int4")
    with pytest.raises(SpecError, match="processes"):
        spec(processes=0)
    with pytest.raises(SpecError, match="processes"):
        spec(processes=2, task="tabular")


@pytest.mark.parametrize("method", SETTINGS)
def test_an_update_whose_gradient_overflows_is_made_again_from_nothing(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    given = {"epochs": 1, **SETTINGS[method]}
    plain, overflown = Recorder(tmp_path), Recorder(tmp_path)
    trained(base, data, tmp_path / "plain", plain, "float16", **given)
    monkeypatch.setattr(precision, "FIRST_SCALE", 2.0**32)  # infinite in fp16 at whatever gradient
    trained(base, data, tmp_path / "overflown", overflown, "float16", **given)
    assert overflown.losses() == pytest.approx(plain.losses(), rel=TOLERANCE["float16"])
