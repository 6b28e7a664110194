"""Failures: whose they are, what they say, and what they leave behind."""

from __future__ import annotations

import gc
import math
import multiprocessing
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.workers.engine.factories import (
    Recorder,
    completions,
    handle,
    quantised_folder,
    spec,
    work,
    write_jsonl,
)
from tests.workers.engine.training.factories import run, weights
from workers.engine.errors import DivergedError
from workers.engine.protocol import FailureKind, Member, Outcome
from workers.engine.tasks import text_generation
from workers.engine.training.opening import Base, session_open

Weights = dict[str, torch.Tensor]


def test_bad_data_fail_as_the_customers_and_name_the_line(base: Path, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "bad.jsonl", [*completions(3), {"prompt": "x"}])
    result = run(base, data, tmp_path, Recorder(tmp_path))
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert "line 4, completion" in str(result.error)


@pytest.mark.parametrize(
    ("given", "rows", "says"),
    [
        (
            {"lora": {"rank": 17, "alpha": 8.0}},
            completions(8),
            "larger than the layer model.layers.0.self_attn.k_proj (16 by 32); at most 16",
        ),
        (
            {"max_length": 1024},
            [{"prompt": "a " * 300, "completion": "b"}, *completions(3)],
            "the row is 303 tokens long, max_length is 128",
        ),
        ({}, [{"messages": [{"role": "user", "content": "nobody answers"}]}], "line 1, messages"),
    ],
)
def test_what_cannot_be_trained_is_the_customers_and_says_why(
    base: Path, tmp_path: Path, given: dict[str, Any], rows: list[Any], says: str
) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    result = run(base, data, tmp_path, Recorder(tmp_path), **given)
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert says in str(result.error)


def test_bad_validation_data_are_told_apart(base: Path, data: Path, tmp_path: Path) -> None:
    bad = write_jsonl(tmp_path / "bad.jsonl", [{"text": ""}])
    result = run(base, data, tmp_path, Recorder(tmp_path), validation=bad)
    assert "in the validation file, " in str(result.error)


def test_divergence_is_the_customers_and_leaves_the_last_good_weights(
    base: Path, data: Path, tmp_path: Path
) -> None:
    progress = Recorder(tmp_path)
    result = run(
        base,
        data,
        tmp_path,
        progress,
        method="full",
        optimiser="sgd",
        learning_rate=100,
        gradient_clip=0,
        snapshot_every_steps=1,
    )
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert "Lower learning_rate (now 100)" in str(result.error)
    last = load_file(progress.snapshots[-1][1].path / "delta.safetensors")
    assert all(bool(w.isfinite().all()) for w in last.values())
    assert progress.usage[-1][3] == progress.beats[-1][1]


def test_weights_that_broke_are_never_handed_over(base: Path, data: Path, tmp_path: Path) -> None:
    # given a session whose last update made one weight infinite
    progress, given = Recorder(tmp_path), Member("m", spec(), handle(data))
    with session_open(Base(work(base, tmp_path / "run", given)), given, progress) as session:
        done = session.run.update()
        next(iter(session.run.parameters.values())).data.view(-1)[0] = torch.inf
        assert math.isfinite(done.loss)
        # then neither a checkpoint nor a result comes of it
        with pytest.raises(DivergedError, match="lower learning_rate"):
            session.finished()
        session.run.state.closed = 1
        with pytest.raises(DivergedError):
            session.close_round()
    assert progress.checkpoints == []


def test_running_out_of_memory_halves_the_packs_and_says_so(base: Path, tmp_path: Path) -> None:
    # given one update over 36,000 tokens in a single pass, and no room to grow that much
    with multiprocessing.get_context("spawn").Pool(1) as fresh:  # nothing given back lies about
        calm, tight, events = fresh.apply(calm_and_tight, (base, tmp_path))
    # then the update is the same within rounding, and a person can read why it is slower
    assert all(torch.allclose(w, tight[n], atol=1e-5) for n, w in calm.items())
    _, (_, level, message, told) = events
    assert (level, message[:14]) == ("warn", "Memory ran out")
    assert told["micro_batch_tokens"] < 20_000


def calm_and_tight(base: Path, folder: Path) -> tuple[Weights, Weights, list[Any]]:
    """The weights of a run with room and of one without, and what the second said."""
    long = [{"prompt": f"{n} " + "for " * 80, "completion": f"it is {n}"} for n in range(400)]
    data = write_jsonl(folder / "long.jsonl", long)
    settings: dict[str, Any] = {
        "epochs": 1,
        "batch_size": 400,
        "method": "full",
        "optimiser": "sgd",
    }
    calm = run(base, data, folder, Recorder(folder), name="calm", **settings)
    progress = Recorder(folder)
    with address_space_limited(more_bytes=25 * 2**20):
        settings["micro_batch_tokens"] = 100_000
        tight = run(base, data, folder, progress, name="tight", **settings)
    return weights(calm), weights(tight), progress.events


@contextmanager
def address_space_limited(*, more_bytes: int) -> Iterator[None]:
    """Let this process take `more_bytes` beyond what it has now."""
    gc.collect()
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + more_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_one_example_too_large_for_memory_is_the_platforms(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(text_generation, "batch_loss", refuse)
    result = run(base, data, tmp_path, Recorder(tmp_path))
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.PLATFORM)
    assert "does not fit in memory; lower max_length" in str(result.error)


@pytest.mark.parametrize(
    "given",
    [{}, {"method": "full"}, {"lora": {"rank": 4, "use_dora": True}}, {"quantise_base": "nf4"}],
)
def test_rounded_weights_are_not_trained(
    base: Path, data: Path, tmp_path: Path, given: dict[str, Any]
) -> None:
    """Whole, only embeddings and norms would learn, and nobody would say so."""
    rounded = quantised_folder(base, tmp_path / "rounded", "int8_dynamic")
    result = run(rounded, data, tmp_path, Recorder(tmp_path), **given)
    assert result.outcome is Outcome.FAILED
    assert result.error is not None
    assert "rounded is quantised, and its rounded weights cannot learn" in result.error
