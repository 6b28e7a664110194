"""Tables, against scikit-learn on its own data, and every way in which a table can be broken."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.workers.engine.factories import Recorder, handle
from tests.workers.engine.tasks.factories import (
    FOLDS,
    Split,
    spec,
    table_split,
    table_write,
    trained,
)
from workers.engine.evaluation import evaluate
from workers.engine.inference.tables import TableModel
from workers.engine.protocol import Command, EvaluateWork, FailureKind, Numerics, Outcome
from workers.engine.specs import EvaluateSpec, SpecError

SEED_EXAMPLE: dict[str, Any] = {  # the founding essay's
    "tabular": {"hidden": "seed"},
    "optimiser": "adam",
    "learning_rate": 0.01,
    "epochs": 10,
    "schedule": "constant",
    "batch_size": 16,
}


@pytest.fixture(scope="module")
def diabetes(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return table_split("diabetes", tmp_path_factory.mktemp("diabetes"))


def test_the_seeds_network_learns_as_well_as_linear_regression(
    tabular_base: Path, tmp_path: Path
) -> None:
    """The network 10-5-3-1 by ten seeds, each row held out once: four parts, one after another."""
    before, after, constant, linear = np.mean(
        [_seed_example(tabular_base, fold, tmp_path / str(fold)) for fold in range(FOLDS)], axis=0
    )
    assert after < 0.75 * min(before, constant)
    assert after < 1.1 * linear


def _seed_example(base: Path, fold: int, folder: Path) -> tuple[float, float, float, float]:
    """Held-out mean squared errors: before and after (medians), of the mean, of a regression."""
    data = table_split("diabetes", folder, fold=fold)
    results = [
        trained(
            base,
            spec("tabular", **SEED_EXAMPLE, seed=seed),
            data.train,
            folder / str(seed),
            validation=data.held_out,
        ).metrics
        for seed in range(10)
    ]
    regression = LinearRegression().fit(data.x, data.y)
    return (
        median(result["initial_validation_mse"] for result in results),
        median(result["validation_mse"] for result in results),
        mean_squared_error(data.y_held_out, np.full(len(data.y_held_out), data.y.mean())),
        mean_squared_error(data.y_held_out, regression.predict(data.x_held_out)),
    )


@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_classes_are_told_apart_as_by_logistic_regression(
    tabular_base: Path, tmp_path: Path, name: str
) -> None:
    data = table_split(name, tmp_path / "data")
    settings = spec("tabular", learning_rate=0.01, epochs=20)
    result = trained(tabular_base, settings, data.train, tmp_path / "run", validation=data.held_out)

    plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.x, data.y)
    reference = plain.score(data.x_held_out, data.y_held_out)
    majority = np.bincount(data.y_held_out).max() / len(data.y_held_out)
    assert result.metrics["validation_accuracy"] > majority + 0.2
    assert result.metrics["validation_accuracy"] >= reference - 0.03


def test_metrics_of_a_quantity_are_scikit_learns(
    tabular_base: Path, diabetes: Split, tmp_path: Path
) -> None:
    result = trained(tabular_base, spec("tabular", epochs=2), diabetes.train, tmp_path / "run")
    assert result.artifact
    found = _evaluated(result.artifact.path, diabetes.held_out, tmp_path)
    guesses = _predicted(result.artifact.path, diabetes.x_held_out)

    wanted = diabetes.y_held_out
    assert found["mse"] == pytest.approx(mean_squared_error(wanted, guesses), rel=1e-4)
    assert found["mae"] == pytest.approx(mean_absolute_error(wanted, guesses), rel=1e-4)
    assert found["r2"] == pytest.approx(r2_score(wanted, guesses), abs=1e-4)


def test_metrics_of_classes_are_scikit_learns(tabular_base: Path, tmp_path: Path) -> None:
    data = table_split("wine", tmp_path / "data")
    result = trained(tabular_base, spec("tabular", epochs=2), data.train, tmp_path / "run")
    assert result.artifact
    found = _evaluated(result.artifact.path, data.held_out, tmp_path)
    guesses = [int(str(each)[-1]) for each in _predicted(result.artifact.path, data.x_held_out)]

    wanted = data.y_held_out
    assert found["accuracy"] == pytest.approx(accuracy_score(wanted, guesses))
    assert found["macro_f1"] == pytest.approx(f1_score(wanted, guesses, average="macro"))


def _evaluated(artifact: Path, data: Path, folder: Path) -> dict[str, float]:
    asked = EvaluateWork(
        handle(artifact), "e", EvaluateSpec(task="tabular"), handle(data), folder / "evaluation"
    )
    result = evaluate(asked, Recorder(folder))
    assert result.outcome is Outcome.SUCCEEDED, result.error
    return dict(result.metrics)


def _predicted(artifact: Path, features: Any) -> list[Any]:
    model = TableModel.load(artifact, Numerics())
    names = [column.name for column in model.schema.columns]
    rows = [dict(zip(names, row, strict=True)) for row in features.tolist()]
    return [each["prediction"] for each in model.predict(rows)]


def test_a_resumed_run_ends_bit_for_bit_as_one_that_never_stopped(
    tabular_base: Path, diabetes: Split, tmp_path: Path
) -> None:
    settings = spec("tabular", learning_rate=0.01, epochs=3)
    whole = trained(tabular_base, settings, diabetes.train, tmp_path / "whole")
    paused = Recorder(tmp_path, answer=lambda step: Command.PAUSE if step == 25 else Command.GO)
    first = trained(tabular_base, settings, diabetes.train, tmp_path / "first", progress=paused)
    assert first.outcome is Outcome.PAUSED
    second = trained(
        tabular_base,
        settings,
        diabetes.train,
        tmp_path / "second",
        resume=paused.snapshots[-1][1],
    )

    assert whole.artifact
    assert second.artifact
    one = load_file(whole.artifact.path / "model.safetensors")
    other = load_file(second.artifact.path / "model.safetensors")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_finished_model_goes_on_with_its_own_columns(
    tabular_base: Path, diabetes: Split, tmp_path: Path
) -> None:
    first = trained(tabular_base, spec("tabular", epochs=2), diabetes.train, tmp_path / "first")
    assert first.artifact
    second = trained(
        first.artifact.path,
        spec("tabular", epochs=2),
        diabetes.held_out,
        tmp_path / "second",
        validation=diabetes.train,
    )
    assert second.artifact
    config = (first.artifact.path / "config.json").read_text()
    assert (second.artifact.path / "config.json").read_text() == config


def test_parquet_gives_the_same_model_as_csv(
    tabular_base: Path, diabetes: Split, tmp_path: Path
) -> None:
    table = pa.table({f"f{i}": diabetes.x[:, i] for i in range(10)} | {"target": diabetes.y})
    pq.write_table(table, tmp_path / "t.parquet")
    names = [f"f{i}" for i in range(10)]
    plain = table_write(tmp_path / "t.csv", names, diabetes.x, diabetes.y)
    settings = spec("tabular", epochs=1)
    one = trained(tabular_base, settings, tmp_path / "t.parquet", tmp_path / "one")
    other = trained(tabular_base, settings, plain, tmp_path / "other")
    assert one.artifact
    assert other.artifact
    assert one.artifact.sha256 == other.artifact.sha256


def test_texts_and_gaps_are_learned_from(tabular_base: Path, tmp_path: Path) -> None:
    # given a target that only a column of texts tells, and a number that is missing at times
    draws = np.random.default_rng(0)
    lines = ["colour,size,target"]
    for _ in range(200):
        colour = draws.choice(["red", "green", "blue"])
        size = "" if draws.random() < 0.2 else f"{draws.normal():.3f}"
        lines.append(f"{colour},{size},{'warm' if colour == 'red' else 'cold'}")
    data = tmp_path / "t.csv"
    data.write_text("\n".join(lines))
    result = trained(
        tabular_base,
        spec("tabular", epochs=10, learning_rate=0.01),
        data,
        tmp_path / "run",
        validation=data,
    )
    assert result.metrics["validation_accuracy"] == 1.0


BROKEN = {
    "no rows": ("a,target\n", "the table has no rows"),
    "one column": ("a\n1\n", "line 1, header: the header has 1 columns"),
    "twice": ("a,a,target\n1,2,3\n", "'a' is empty or occurs twice"),
    "width": ("a,target\n1,2\n1,2,3\n4,5\n", "line 3, line: the row has 3 cells"),
    "no target": ("a,target\n1,\n2,3\n", "line 2, target: the target is missing"),
    "infinite": ("a,target\ninf,1\n2,3\n", "line 2, a: 'inf' is no finite number"),
    "constant": ("a,target\n1,5\n2,5\n", "the target is '5' in every row"),
    "rare class": ("a,target\n1,x\n2,x\n3,y\n", "line 4, target: the class 'y' has one example"),
    "not utf-8": (b"a,target\n1,2\n\xff,3\n", "line 3, line: the line is not UTF-8"),
    "not parquet": (b"PAR1 and nothing else", "the Parquet file cannot be read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_table_is_refused_with_its_line_and_a_remedy(
    tabular_base: Path, tmp_path: Path, name: str
) -> None:
    content, message = BROKEN[name]
    data = tmp_path / "broken.csv"
    data.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = trained(tabular_base, spec("tabular"), data, tmp_path / "run")
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert message in str(result.error)
    assert "; " in str(result.error)  # the remedy


def test_held_out_rows_must_fit_what_was_trained_on(tabular_base: Path, tmp_path: Path) -> None:
    train, other = tmp_path / "t.csv", tmp_path / "v.csv"
    train.write_text("a,target\n1,x\n2,x\n3,y\n4,y\n")
    for content, message in (
        ("a,target\n1,z\n", "'z' is no class of the training data"),
        ("b,target\n1,x\n", "line 2, a: the column is missing"),
        ("a,target\nmuch,x\n", "line 2, a: 'much' is no finite number"),
    ):
        other.write_text(content)
        result = trained(tabular_base, spec("tabular"), train, tmp_path / "run", validation=other)
        assert "in the validation file" in str(result.error)
        assert message in str(result.error)


def test_an_exploding_loss_is_the_customers_and_says_what_to_do(
    tabular_base: Path, diabetes: Split, tmp_path: Path
) -> None:
    settings = spec("tabular", optimiser="sgd", learning_rate=100.0, gradient_clip=0.0, epochs=30)
    result = trained(tabular_base, settings, diabetes.train, tmp_path / "run")
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert "ower learning_rate" in str(result.error)


def test_adapters_unknown_tasks_and_odd_networks_are_refused(
    tabular_base: Path, diabetes: Split, tmp_path: Path
) -> None:
    lora = trained(tabular_base, spec("tabular", method="lora"), diabetes.train, tmp_path / "run")
    assert "method: tables are trained whole; give 'full'." in str(lora.error)
    for changes in ({"task": "tables"}, {"tabular": {"hidden": [0]}}, {"tabular": {"depth": 1}}):
        with pytest.raises(SpecError):
            spec(**{"task": "tabular"} | changes)
