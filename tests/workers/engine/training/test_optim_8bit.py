"""AdamW with moments in eight bits: torchao's steps, AdamW's learning, a quarter of the bytes."""

from __future__ import annotations

import gc
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from tests.workers.engine.factories import (
    FOR_A_GPU,
    Recorder,
    base_folder,
    chats,
    completions,
    write_jsonl,
)
from tests.workers.engine.training.factories import run
from workers.engine.kernels.blockwise import BLOCK
from workers.engine.profiles import MOMENT_BYTES, memory_bytes
from workers.engine.protocol import Command, Outcome
from workers.engine.shapes import Shape
from workers.engine.specs import FineTuneSpec
from workers.engine.training import moments
from workers.engine.training.moments import FEWEST
from workers.engine.training.optim import AdamW8bit

SHAPES = ((96, 64), (70, 128), (FEWEST // 8, 8), (FEWEST - 1,), (40,))


def settings(**given: Any) -> FineTuneSpec:
    return FineTuneSpec(method="full", optimiser="adamw_8bit", **given)


def parameters() -> list[torch.nn.Parameter]:
    draws = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=draws)) for shape in SHAPES]


def gradients(update: int) -> list[torch.Tensor]:
    """Of parameters that learn at speeds of their own, as a model's do."""
    draws = torch.Generator().manual_seed(update)
    return [
        torch.randn(s, generator=draws) * 10.0 ** (-n - update % 2) for n, s in enumerate(SHAPES)
    ]


@pytest.mark.parametrize("stretch", [2**22, 8 * BLOCK])
@pytest.mark.parametrize("given", [{}, {"weight_decay": 0.1, "betas": (0.8, 0.95)}])
def test_thirty_updates_and_their_moments_are_torchaos(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], stretch: int
) -> None:
    from torchao.optim import AdamW8bit as Reference

    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(moments, "STRETCH", stretch)
    ours, theirs = parameters(), parameters()
    optimiser = AdamW8bit(ours, settings(**given))
    options = {"weight_decay": 0.0} | given
    reference = Reference(theirs, lr=1.0, **options)  # type: ignore[arg-type]
    for update in range(30):
        rate = 0.1 / (update + 1)
        reference.param_groups[0]["lr"].fill_(rate)
        for p, q, gradient in zip(ours, theirs, gradients(update), strict=True):
            p.grad, q.grad = gradient.clone(), gradient.clone()
        optimiser.gather()
        optimiser.step(rate)
        reference.step()
    for place, (p, q) in enumerate(zip(ours, theirs, strict=True)):
        state = reference.state[q]
        for slot, name in (("mean", "exp_avg"), ("square", "exp_avg_sq")):
            mine, other = optimiser.slots[slot][place], state[name]
            if p.numel() < FEWEST:
                torch.testing.assert_close(mine, other)
                continue
            # the last bit of a sum may put a number that lies in the middle to either side
            apart = (mine.int() - other.codes.int()).abs()
            assert (apart > 0).float().mean() <= 1e-3
            torch.testing.assert_close(
                optimiser.slots[f"{slot}_scales"][place], other.scale, rtol=1e-5, atol=0
            )
        assert (p - q).norm() <= 1e-3 * (q - parameters()[place]).norm()


def test_its_state_takes_the_bytes_that_the_estimate_says() -> None:
    large = [torch.nn.Parameter(torch.zeros(1024, 512)), torch.nn.Parameter(torch.zeros(999, 700))]
    optimiser = AdamW8bit(large, settings())
    held = sum(t.nbytes for tensors in optimiser.slots.values() for t in tensors)
    count = sum(p.numel() for p in large)
    assert held / count == pytest.approx(2 * MOMENT_BYTES, rel=1e-4)
    shape = Shape(parameters=10**9, layers=16, hidden=2048, vocabulary=32_000)
    saved = memory_bytes(FineTuneSpec(method="full"), shape) - memory_bytes(settings(), shape)
    assert saved == pytest.approx((8 - held / count) * 10**9, rel=1e-3)


def test_small_tensors_stay_exact_and_no_parameter_is_moved() -> None:
    given = parameters()
    places = [p.data_ptr() for p in given]
    optimiser = AdamW8bit(given, settings())
    assert [p.data_ptr() for p in given] == places
    kinds = [t.dtype for t in optimiser.slots["mean"]]
    assert kinds == [torch.uint8] * 3 + [torch.float32] * 2
    assert [len(t) for t in optimiser.slots["mean_scales"]] == [24, 35, 16, 0, 0]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "train.jsonl", completions() + chats())


def test_a_model_learns_as_by_adamw(tmp_path: Path, rows: Path) -> None:
    """The losses of each update stay within a hundredth of AdamW's.

    A moment is off by up to half the gap between two values: 3% of it in each decade that has its
    digits, so each of a million steps is off by a like share, in either direction.
    """
    base = base_folder(tmp_path / "base", hidden_size=64, intermediate_size=128)
    curves = {}
    for optimiser in ("adamw", "adamw_8bit"):
        progress = Recorder(tmp_path)
        result = run(base, rows, tmp_path, progress, name=optimiser, method="full",
                     optimiser=optimiser, epochs=8, learning_rate=1e-3)  # fmt: skip
        assert result.outcome is Outcome.SUCCEEDED, result.error
        curves[optimiser] = progress.losses()
    exact, short = curves["adamw"], curves["adamw_8bit"]
    assert exact[-1] < 0.6 * exact[0]
    assert short == pytest.approx(exact, rel=0.01)
    assert short != exact


def test_a_snapshot_holds_the_eight_bits(base: Path, rows: Path, tmp_path: Path) -> None:
    paused = Recorder(tmp_path, lambda step: Command.PAUSE if step == 3 else Command.GO)
    run(base, rows, tmp_path, paused, method="full", optimiser="adamw_8bit")
    ((_, snapshot),) = paused.snapshots
    with safe_open(snapshot.path / "optimiser.safetensors", framework="pt") as opened:
        kinds = {name: opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118
    assert kinds["mean/model.embed_tokens.weight"] == "U8"
    assert kinds["square_scales/model.embed_tokens.weight"] == "F32"
    assert kinds["mean/model.norm.weight"] == "F32"


@pytest.mark.gpu
def test_on_cuda_it_learns_with_less_memory(tmp_path: Path, rows: Path) -> None:
    base = base_folder(tmp_path / "base", **FOR_A_GPU)
    peaks = {}
    for optimiser in ("adamw", "adamw_8bit"):
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        progress = Recorder(tmp_path)
        result = run(base, rows, tmp_path, progress, name=optimiser, device="cuda:0", epochs=4,
                     method="full", optimiser=optimiser, learning_rate=1e-4)  # fmt: skip
        assert result.error is None, result.error
        losses = [sum(progress.losses()[at : at + 9]) for at in range(0, 36, 9)]
        assert all(later < before for before, later in pairwise(losses))
        peaks[optimiser] = torch.cuda.max_memory_allocated()
    moments_of = 8 * Shape.of_folder(base).parameters
    assert peaks["adamw"] - peaks["adamw_8bit"] > moments_of / 2
