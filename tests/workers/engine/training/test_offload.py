"""Layers that do not fit: the same numbers, less memory, and a word about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.workers.engine.factories import (
    FAMILIES,
    Recorder,
    base_folder,
    completions,
    handle,
    spec,
    work,
    write_jsonl,
)
from tests.workers.engine.training.factories import weights
from workers.engine.errors import ModelError
from workers.engine.profiles import memory_bytes, memory_least, resident_blocks
from workers.engine.protocol import Member, Result
from workers.engine.shapes import Shape
from workers.engine.training.loop import train
from workers.tasks.process import ROOT

LAYERS = 2  # of the tiny bases


def trained(
    base: Path, data: Path, folder: Path, progress: Recorder, memory: int = 0, **given: Any
) -> Result:
    one = work(base, folder, Member("m", spec(**given), handle(data)))
    numerics = replace(one.numerics, memory_bytes=memory)
    (result,) = train(replace(one, numerics=numerics), progress)
    return result


def room_for(base: Path, kept: int, **given: Any) -> int:
    """So many bytes that all but `kept` of the blocks have to stay in their files."""
    shape = Shape.of_folder(base)
    block = 4 * shape.body // shape.layers
    return memory_bytes(spec(**given), shape) - (shape.layers - kept - 1) * block


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("checkpointing", ["none", "selective", "full"])
def test_losses_and_weights_are_those_of_the_undivided_model_bit_for_bit(
    bases: dict[str, Path], data: Path, tmp_path: Path, family: str, checkpointing: str
) -> None:
    settings: dict[str, Any] = {
        "activation_checkpointing": checkpointing,
        "lora": {"rank": 4, "alpha": 8.0, "dropout": 0.1},
        "epochs": 1,
    }
    base, whole, parted = bases[family], Recorder(tmp_path), Recorder(tmp_path)
    one = trained(base, data, tmp_path / "one", whole, **settings)
    memory = memory_least(spec(**settings), Shape.of_folder(base)) + 1
    two = trained(base, data, tmp_path / "two", parted, memory, **settings)
    assert parted.losses() == whole.losses()
    found = weights(two)
    assert all(torch.equal(weight, found[name]) for name, weight in weights(one).items())
    (told,) = [event for event in parted.events if "does not fit in memory" in event[2]]
    assert told[1] == "warn"
    assert told[3] == {"offloaded_layers": LAYERS, "layers": LAYERS}


def test_a_preference_is_learned_over_layers_that_do_not_fit(base: Path, tmp_path: Path) -> None:
    rows = [
        {"prompt": f"{n} and one make", "chosen": f" {n + 1}", "rejected": " none"}
        for n in range(6)
    ]
    data = write_jsonl(tmp_path / "pairs.jsonl", rows)
    losses = []
    for memory in (0, memory_least(spec(task="preference"), Shape.of_folder(base)) + 1):
        progress = Recorder(tmp_path)
        folder = tmp_path / str(memory)
        assert trained(base, data, folder, progress, memory, task="preference").error is None
        losses.append(progress.losses())
    assert losses[0] == losses[1]


def test_as_many_blocks_are_kept_as_fit(tmp_path: Path) -> None:
    base = base_folder(tmp_path / "base", num_hidden_layers=6)
    shape, given = Shape.of_folder(base), spec()
    assert resident_blocks(given, shape, 0) == 6  # nobody has said
    assert resident_blocks(given, shape, memory_bytes(given, shape)) == 6
    assert [resident_blocks(given, shape, room_for(base, kept)) for kept in range(5)] == [
        0,
        1,
        2,
        3,
        4,
    ]
    with pytest.raises(ModelError, match="even with one layer in memory at a time") as caught:
        resident_blocks(given, shape, memory_least(given, shape) - 4 * shape.body // 6)
    assert "lower micro_batch_tokens" in str(caught.value)


def test_a_base_all_of_embeddings_has_no_blocks_to_leave_out() -> None:
    """As a config.json says that ties its head, where its folder does not, or the reverse."""
    shape = Shape(parameters=64_000, layers=2, hidden=32, vocabulary=2000, tied=False)
    assert shape.body == 0
    with pytest.raises(ModelError, match="even with one layer in memory at a time"):
        resident_blocks(spec(), shape, 1)


@pytest.mark.parametrize("given", [{"method": "full"}, {"lora": {"use_dora": True}}])
def test_weights_that_something_else_reads_are_never_left_in_files(
    base: Path, given: dict[str, Any]
) -> None:
    shape = Shape.of_folder(base)
    assert resident_blocks(spec(**given), shape, 1) == shape.layers
    assert memory_least(spec(**given), shape) == memory_bytes(spec(**given), shape)


def test_a_base_under_other_names_is_refused_with_a_way_out(
    base: Path, data: Path, tmp_path: Path
) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    for path in base.iterdir():
        (odd / path.name).write_bytes(path.read_bytes())
    tensors = load_file(odd / "model.safetensors")
    renamed = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    save_file(renamed, odd / "model.safetensors", metadata={"format": "pt"})
    memory = memory_least(spec(), Shape.of_folder(odd)) + 1
    result = trained(odd, data, tmp_path / "run", Recorder(tmp_path), memory)
    assert "cannot be read one by one; use a slot with more memory" in str(result.error)


PEAK = """
import json, sys
from dataclasses import replace
from pathlib import Path
from tests.workers.engine.factories import Recorder, handle, spec, work
from workers.engine.protocol import Member
from workers.engine.training.loop import train
base, data, folder, memory = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
one = work(base, folder, Member("m", spec(epochs=1, **json.loads(sys.argv[5])), handle(data)))
numerics = replace(one.numerics, memory_bytes=int(memory))
progress = Recorder(folder.parent)
(result,) = train(replace(one, numerics=numerics), progress)
assert result.error is None, result.error
status = Path("/proc/self/status").read_text()  # getrusage knows the parent, too
peak = 1024 * int(status.partition("VmHWM:")[2].split()[0])
print(json.dumps({"peak": peak, "losses": progress.losses()}))
"""


def test_the_peak_is_lower_by_what_stays_in_files(tmp_path: Path) -> None:
    # given 8 blocks of 15 MB, trained in a process of its own with and without room for them
    sizes = {"hidden_size": 512, "intermediate_size": 1792, "num_hidden_layers": 8}
    base = base_folder(tmp_path / "base", **sizes)
    data = write_jsonl(tmp_path / "few.jsonl", completions(4))
    shape = Shape.of_folder(base)
    memory = memory_least(spec(epochs=1), shape) + 1
    whole, parted = (peak(base, data, tmp_path / str(m), m) for m in (0, memory))
    # then of eight blocks one is there at once, what is being read, and what the allocator keeps
    assert parted["losses"] == whole["losses"]
    assert whole["peak"] - parted["peak"] > 4 * shape.body / 2


def peak(base: Path, data: Path, folder: Path, memory: int = 0, **settings: Any) -> dict[str, Any]:
    """What training in a process of its own takes at most, and its losses."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            PEAK,
            str(base),
            str(data),
            str(folder),
            str(memory),
            json.dumps(settings),
        ],
        cwd=ROOT,
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"},  # what is freed counts as free
        check=True,
        capture_output=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("given", [{"method": "full"}, {"lora": {"rank": 4, "use_dora": True}}])
def test_who_reads_all_weights_after_another_has_left_them_in_files_has_them_whole(
    base: Path, data: Path, tmp_path: Path, given: dict[str, Any]
) -> None:
    alone, after = Recorder(tmp_path), Recorder(tmp_path)
    assert trained(base, data, tmp_path / "alone", alone, epochs=1, **given).error is None
    settings = {"epochs": 1}
    members = [
        Member("m0", spec(**settings), handle(data)),
        Member("m", spec(**settings, **given), handle(data)),
    ]
    one = work(base, tmp_path / "after", *members)
    memory = memory_least(spec(**settings), Shape.of_folder(base)) + 1
    numerics = replace(one.numerics, memory_bytes=memory)
    assert all(r.error is None for r in train(replace(one, numerics=numerics), after))
    own = [metrics["loss"] for key, *_, metrics in after.beats if key == "m" and "loss" in metrics]
    assert own == alone.losses()
    assert [key for key, _, text, _ in after.events if "does not fit in memory" in text] == ["m0"]
