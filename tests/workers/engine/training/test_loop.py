"""The training loop: it learns, obeys, reports, and resumes bit for bit."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.workers.engine.factories import (
    Recorder,
    chats,
    completions,
    handle,
    spec,
    work,
    write_jsonl,
)
from workers.engine.protocol import Command, FailureKind, Member, Outcome, Result
from workers.engine.training.loop import train


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "train.jsonl", completions() + chats())


@pytest.fixture
def validation(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "validation.jsonl", completions(40)[24:])


def run(
    base: Path, data: Path, folder: Path, progress: Recorder, *, name: str = "run", **given: Any
) -> Result:
    resume, validation = given.pop("resume", None), given.pop("validation", None)
    member = Member(
        "m",
        spec(**given),
        handle(data),
        resume=resume,
        validation=handle(validation) if validation else None,
    )
    (result,) = train(work(base, folder / name, member), progress)
    return result


def weights(result: Result) -> dict[str, torch.Tensor]:
    assert result.artifact is not None, result.error
    (path,) = result.artifact.path.glob("*.safetensors")
    return load_file(path)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_training_lowers_loss_on_held_out_data(
    base: Path, data: Path, validation: Path, tmp_path: Path, method: str
) -> None:
    progress = Recorder(tmp_path)
    rate = {"lora": 3e-2, "full": 5e-3}[method]
    result = run(
        base,
        data,
        tmp_path,
        progress,
        method=method,
        learning_rate=rate,
        validation=validation,
        epochs=4,
    )
    assert result.outcome is Outcome.SUCCEEDED
    assert result.metrics["validation_loss"] < 0.7 * result.metrics["initial_validation_loss"]
    assert [step for step, *_ in progress.checkpoints] == [9, 18, 27, 36]


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
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
    assert resumed.events[0][3] == {"step": stop, "bit_equal": True}
    wanted, found = weights(whole), weights(second)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert second.metrics == whole.metrics


def test_bad_data_fail_as_the_customers_and_name_the_line(base: Path, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "bad.jsonl", [*completions(3), {"prompt": "x"}])
    result = run(base, data, tmp_path, Recorder(tmp_path))
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert "line 4, completion" in str(result.error)
