"""What was stopped goes on bit for bit."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.workers.engine.factories import Recorder
from tests.workers.engine.training.factories import run, weights
from workers.engine.protocol import Command, Outcome


@pytest.mark.parametrize(
    ("method", "optimiser"),
    [
        ("lora", "sgd"), ("lora", "adamw"), ("full", "sgd"), ("full", "adamw"),
        ("full", "adamw_8bit"),
    ],
)  # fmt: skip
def test_a_paused_run_resumes_bit_for_bit(
    base: Path, data: Path, validation: Path, tmp_path: Path, method: str, optimiser: str
) -> None:
    # given an uninterrupted run
    settings: dict[str, Any] = {
        "method": method,
        "optimiser": optimiser,
        "momentum": 0.9,
        "weight_decay": 0.01,
        "lora": {"rank": 4, "alpha": 8.0, "dropout": 0.2},
        "validation": validation,
    }
    whole = run(base, data, tmp_path, Recorder(tmp_path), name="whole", **settings)
    stop = random.Random(f"{method}{optimiser}").randrange(1, 18)
    # when another is paused at a random step and a third resumes from its snapshot
    paused = Recorder(tmp_path, lambda step: Command.PAUSE if step == stop else Command.GO)
    first = run(base, data, tmp_path, paused, name="first", **settings)
    ((step, snapshot),) = paused.snapshots
    resumed = Recorder(tmp_path)
    second = run(base, data, tmp_path, resumed, name="second", resume=snapshot, **settings)
    # then nothing differs from never having stopped
    assert (first.outcome, step) == (Outcome.PAUSED, stop)
    assert resumed.events[1][3] == {"step": stop, "bit_equal": True}
    wanted, found = weights(whole), weights(second)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert second.metrics == whole.metrics


def test_a_run_killed_at_a_random_step_resumes_bit_for_bit_and_reports_work_once(
    base: Path, data: Path, validation: Path, tmp_path: Path
) -> None:
    # given a run with a snapshot every three steps, and the work that it reports
    settings: dict[str, Any] = {"snapshot_every_steps": 3, "validation": validation, "epochs": 3}
    calm = Recorder(tmp_path)
    whole = run(base, data, tmp_path, calm, name="whole", **settings)
    # when another process dies at a random step, and the next attempt starts from the last snapshot
    death = random.Random(4).randrange(4, 26)

    def die(step: int) -> Command:
        if step == death:
            raise ConnectionError("the parent is gone")
        return Command.GO

    killed = Recorder(tmp_path, die)
    with pytest.raises(ConnectionError):
        run(base, data, tmp_path, killed, name="killed", **settings)
    step, snapshot = killed.snapshots[-1]
    resumed = Recorder(tmp_path)
    second = run(base, data, tmp_path, resumed, name="resumed", resume=snapshot, **settings)
    # then the weights are the same, and so are the work reports, told apart by their number
    assert death - 3 <= step <= death
    found = weights(second)
    assert all(torch.equal(w, found[name]) for name, w in weights(whole).items())
    told = {usage[1]: usage[:5] for usage in [*killed.usage, *resumed.usage]}
    assert list(told.values()) == [usage[:5] for usage in calm.usage]
    assert [m for *_, m in calm.beats if "loss" in m][step:] == [
        m for *_, m in resumed.beats if "loss" in m
    ]


def test_a_snapshot_on_demand_does_not_disturb(base: Path, data: Path, tmp_path: Path) -> None:
    calm = run(base, data, tmp_path, Recorder(tmp_path), name="calm")
    asked = Recorder(tmp_path, lambda step: Command.SNAPSHOT if step == 5 else Command.GO)
    result = run(base, data, tmp_path, asked, name="asked")
    assert [step for step, _ in asked.snapshots] == [5]
    found = weights(result)
    assert all(torch.equal(w, found[n]) for n, w in weights(calm).items())


@pytest.mark.parametrize("command", [Command.PAUSE, Command.CANCEL])
def test_an_evaluation_can_be_interrupted(
    base: Path, data: Path, validation: Path, tmp_path: Path, command: Command
) -> None:
    progress = Recorder(tmp_path, lambda _step: command)
    result = run(base, data, tmp_path, progress, validation=validation)
    assert (
        result.outcome
        == {Command.PAUSE: Outcome.PAUSED, Command.CANCEL: Outcome.CANCELLED}[command]
    )
    assert len(progress.beats) == 1
    if command is Command.PAUSE:
        ((step, snapshot),) = progress.snapshots
        again = run(
            base,
            data,
            tmp_path,
            Recorder(tmp_path),
            name="again",
            resume=snapshot,
            validation=validation,
        )
        assert step == 0
        assert "initial_validation_loss" in again.metrics
