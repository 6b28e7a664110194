"""Snapshots are whole or refused, and belong to one base, one data set and one spec."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.workers.engine.factories import (
    Recorder,
    completions,
    handle,
    spec,
    work,
    write_jsonl,
)
from workers.engine.errors import SnapshotError
from workers.engine.folders import atomic_folder, folder_digest, folder_verify
from workers.engine.protocol import Command, FailureKind, Handle, Member, Outcome, Result
from workers.engine.training.loop import train


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "train.jsonl", completions())


def paused_at(base: Path, data: Path, tmp_path: Path, step: int) -> Handle:
    progress = Recorder(tmp_path, lambda now: Command.PAUSE if now == step else Command.GO)
    list(train(work(base, tmp_path / "paused", Member("m", spec(), handle(data))), progress))
    ((_, snapshot),) = progress.snapshots
    return snapshot


def resumed(
    base: Path, data: Path, tmp_path: Path, snapshot: Handle, **changes: Any
) -> tuple[Result, Recorder]:
    progress = Recorder(tmp_path)
    member = Member("m", spec(**changes), handle(data), resume=snapshot)
    (result,) = train(work(base, tmp_path / "resumed", member), progress)
    return result, progress


def test_a_snapshot_holds_safetensors_and_json_only(base: Path, data: Path, tmp_path: Path) -> None:
    folder = paused_at(base, data, tmp_path, 3).path
    assert sorted(p.name for p in folder.iterdir()) == [
        "delta.safetensors",
        "manifest.json",
        "optimiser.safetensors",
        "state.json",
    ]


@pytest.mark.parametrize(
    "name", ["delta.safetensors", "optimiser.safetensors", "state.json", "manifest.json"]
)
@pytest.mark.parametrize("damage", ["torn", "flipped", "missing"])
def test_a_damaged_snapshot_is_refused_and_says_which_file(
    base: Path, data: Path, tmp_path: Path, name: str, damage: str
) -> None:
    snapshot = paused_at(base, data, tmp_path, 3)
    path = snapshot.path / name
    content = path.read_bytes()
    if damage == "torn":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        middle = content.index(b"sha256") + 12 if name == "manifest.json" else len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        path.unlink()
    result, progress = resumed(base, data, tmp_path, snapshot)
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.PLATFORM)
    assert "resume from an earlier" in str(result.error)
    assert progress.events[-1][3]["code"] == "invalid_snapshot"
    assert not any("loss" in metrics for *_, metrics in progress.beats)


def test_a_surplus_file_is_refused(base: Path, data: Path, tmp_path: Path) -> None:
    snapshot = paused_at(base, data, tmp_path, 3)
    (snapshot.path / "extra.bin").write_bytes(b"x")
    with pytest.raises(SnapshotError, match=r"extra\.bin"):
        folder_verify(snapshot.path)


def test_a_snapshot_of_another_spec_data_or_base_is_refused(
    base: Path, data: Path, bases: dict[str, Path], tmp_path: Path
) -> None:
    snapshot = paused_at(base, data, tmp_path, 3)
    other = write_jsonl(tmp_path / "other.jsonl", completions(12))
    for what, given in (
        ("spec", resumed(base, data, tmp_path, snapshot, seed=9)),
        ("data", resumed(base, other, tmp_path, snapshot)),
        ("base", resumed(bases["gpt2"], data, tmp_path, snapshot)),
    ):
        assert f"made with another {what}" in str(given[0].error)


def test_resuming_elsewhere_works_and_says_that_it_is_within_rounding(
    base: Path, data: Path, tmp_path: Path
) -> None:
    # given a snapshot that another instruction set made
    snapshot = paused_at(base, data, tmp_path, 3)
    content = json.loads((snapshot.path / "state.json").read_text())
    content["fingerprint"]["isa"] = "another"
    with atomic_folder(tmp_path / "moved") as folder:
        for name in ("delta.safetensors", "optimiser.safetensors"):
            os.link(snapshot.path / name, folder / name)
        (folder / "state.json").write_text(json.dumps(content))
    # when
    result, progress = resumed(base, data, tmp_path, handle(tmp_path / "moved"))
    # then
    assert result.outcome is Outcome.SUCCEEDED
    assert progress.events[1][1] == "warn"
    assert progress.events[1][3] == {"step": 3, "bit_equal": False}


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"

    def fill_and_fail() -> None:
        with atomic_folder(target) as temporary:
            (temporary / "half").write_text("x")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fill_and_fail()
    assert list(target.parent.iterdir()) == []
    with atomic_folder(target) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "file").write_text("x")
    folder_verify(target)
    assert [p.name for p in target.parent.iterdir()] == ["folder"]


def test_a_digest_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    digests = set()
    for name, inner, content in (
        ("a", "f", "x"),
        ("b", "f", "x"),
        ("c", "g", "x"),
        ("d", "f", "y"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / inner).write_text(content)
        digests.add(folder_digest(tmp_path / name))
    assert len(digests) == 3
