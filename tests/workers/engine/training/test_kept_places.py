"""Gradients that keep their places: the same run as without, whatever interrupts a pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workers.engine.factories import Recorder
from tests.workers.engine.training.factories import run, weights
from workers.engine.protocol import Command, Outcome, Result
from workers.engine.training import optim, precision
from workers.engine.training.member import Run

SETTINGS: dict[str, Any] = {
    "method": "full",
    "activation_checkpointing": "full",
    "learning_rate": 1e-3,
    "micro_batch_tokens": 64,  # several passes an update
}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds of large models alone, for small ones too."""
    monkeypatch.setattr(optim, "MOST_JOINED", 0)


def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on gradients are made amid the passes, and let go."""
    plain = optim.Optimiser.__init__

    def began(self: optim.Optimiser, *given: Any, **named: Any) -> None:
        plain(self, *given, **named)
        self._keeps_places = False
        self.clear()

    monkeypatch.setattr(optim.Optimiser, "__init__", began)


def same(one: Result, two: Result) -> bool:
    found = weights(two)
    return all(torch.equal(weight, found[name]) for name, weight in weights(one).items())


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "adamw_8bit"])
def test_a_paused_run_resumes_bit_for_bit(
    kept: None, base: Path, data: Path, tmp_path: Path, optimiser: str
) -> None:
    given = {**SETTINGS, "optimiser": optimiser}
    whole = run(base, data, tmp_path, Recorder(tmp_path), name="whole", **given)
    paused = Recorder(tmp_path, lambda step: Command.PAUSE if step == 4 else Command.GO)
    assert run(base, data, tmp_path, paused, name="a", **given).outcome is Outcome.PAUSED
    ((_, snapshot),) = paused.snapshots
    resumed = Recorder(tmp_path)
    second = run(base, data, tmp_path, resumed, name="b", resume=snapshot, **given)
    assert resumed.events[1][3] == {"step": 4, "bit_equal": True}
    assert same(whole, second)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_they_change_no_result(
    kept: None, monkeypatch: pytest.MonkeyPatch, base: Path, data: Path, tmp_path: Path, dtype: str
) -> None:
    """In fp16 the first passes are made again with smaller scales, and may leave nothing behind."""
    monkeypatch.setattr(precision, "FIRST_SCALE", 2.0**30)
    given = {**SETTINGS, "dtype": dtype, "epochs": 1}
    one = run(base, data, tmp_path, Recorder(tmp_path), name="one", **given)
    without(monkeypatch)
    two = run(base, data, tmp_path, Recorder(tmp_path), name="two", **given)
    assert same(one, two)


def test_half_a_gradient_is_forgotten_when_memory_runs_out(
    kept: None, monkeypatch: pytest.MonkeyPatch, base: Path, data: Path, tmp_path: Path
) -> None:
    """Memory runs out after an update's first pass: what that added does not count twice."""
    given = {**SETTINGS, "optimiser": "sgd", "gradient_clip": 0.0, "epochs": 1}
    calm = run(base, data, tmp_path, Recorder(tmp_path), name="calm", **given)
    plain, ran_out = Run._gradient, list[bool]()

    def tight(self: Run, batches: Any) -> Any:
        if self.state.step == 1 and not ran_out:
            ran_out.append(True)
            plain(self, batches[:1])
            assert any(p.grad.any() for p in self.parameters.values() if p.grad is not None)
            raise MemoryError
        return plain(self, batches)

    monkeypatch.setattr(Run, "_gradient", tight)
    found = weights(run(base, data, tmp_path, Recorder(tmp_path), name="tight", **given))
    assert ran_out
    assert all(torch.allclose(w, found[n], atol=1e-6) for n, w in weights(calm).items())
