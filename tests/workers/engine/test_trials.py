"""Short runs of every task: what a fine-tune's time is made of, and how surely that is known."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from workers.assets.local_bases import embedding_model_folder
from workers.engine.base.images import image_base_build
from workers.engine.base.recordings import audio_base_build
from workers.engine.base.tables import tabular_base_build
from workers.engine.errors import ModelError
from workers.engine.made_up import file_make
from workers.engine.profiles import DataSize, Profile, run_s
from workers.engine.protocol import Numerics
from workers.engine.shapes import Shape, table_shape
from workers.engine.specs import FineTuneSpec
from workers.engine.trials import TRIALS, Timed, computed, fitted, trial_run

NOTHING = Profile("cpu", "float32", 1, 1.0, 0.0, 0.0, 0.0, 0.0, task="image_classification")
SHAPE = Shape(parameters=400_000, layers=4, hidden=96, vocabulary=0)
BUILDERS = {
    "image_classification": image_base_build,
    "audio_classification": audio_base_build,
    "tabular": tabular_base_build,
}


def base_of(task: str, folder: Path) -> Path:
    return BUILDERS[task](folder / "base") if task in BUILDERS else embedding_model_folder()


@pytest.mark.parametrize("task", sorted(set(TRIALS) - {"preference"}))
def test_a_trial_is_a_real_run_of_its_task(task: str, tmp_path: Path) -> None:
    spec = FineTuneSpec(task=task, method="full")
    trial = TRIALS[task][0]
    found = trial_run(base_of(task, tmp_path), Numerics(), spec, trial, seed=1)
    assert found.size.examples % trial.batch == 0
    assert found.size.tokens > found.size.examples
    assert min(found.seconds, found.read_s, found.load_s) > 0
    assert found.spec.batch_size == trial.batch
    json.dumps(asdict(fitted([found], NOTHING)), allow_nan=False)  # the catalogue takes it


def timed(batch: int, tokens: int, made: Profile) -> Timed:
    spec = FineTuneSpec(task=made.task, method="full", batch_size=batch, epochs=1)
    size = DataSize(3 * batch, 3 * batch * tokens, 3 * batch)
    return Timed(spec, SHAPE, size, run_s(spec, SHAPE, size, made), 0.0, 0.0)


@pytest.mark.parametrize("missing", [None, "update_s", "pack_s", "sequence_s"])
def test_a_fit_finds_the_costs_that_runs_were_made_of(missing: str | None) -> None:
    made = replace(NOTHING, flops=5e10, update_s=0.01, pack_s=0.004, sequence_s=0.001)
    made = replace(made, **({missing: 0.0} if missing else {}))
    runs = [timed(b, t, made) for b, t in ((1, 64), (2, 64), (8, 64), (40, 64), (80, 60), (90, 9))]
    found = fitted(runs, NOTHING)
    for run in runs:
        assert computed(run, found) == pytest.approx(run.seconds, rel=1e-6)
    for name in ("flops", "update_s", "pack_s", "sequence_s"):
        assert getattr(found, name) == pytest.approx(getattr(made, name), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("deeper", [0.0, 0.002])
def test_a_fit_over_networks_of_different_depth_tells_what_a_layer_costs(deeper: float) -> None:
    made = replace(NOTHING, task="tabular", flops=5e10, update_s=0.01, pack_s=0.004, layer_s=deeper)
    runs = []
    for number, hidden in enumerate(((), (5, 3), (32, 16), (128, 64, 32), (9,), (7, 7, 7, 7)), 1):
        spec = FineTuneSpec(task="tabular", batch_size=64 * number, micro_batch_tokens=640)
        shape, size = table_shape(hidden, 10), DataSize(64 * 9, 640 * 9, 64 * 9)
        runs.append(Timed(spec, shape, size, run_s(spec, shape, size, made), 0.0, 0.0))
    found = fitted(runs, replace(NOTHING, task="tabular"))
    assert found.layer_s == pytest.approx(deeper, rel=1e-4, abs=1e-9)
    assert found.pack_s == pytest.approx(0.004, rel=1e-4)


def test_a_tables_network_is_told_by_its_presets_and_columns() -> None:
    """The founding example's network, 10-5-3-1, has 50 + 15 + 3 weights for ten cells."""
    assert (table_shape((5, 3), 10).body, table_shape((5, 3), 10).layers) == (7, 3)
    assert (table_shape((), 10).body, table_shape((), 10).layers) == (1, 1)


def test_a_task_without_made_up_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'chess'"):
        file_make("chess", tmp_path, tmp_path / "x", count=1, size=1, seed=0)
