"""Tables that statsmodels carries, held out in part: against a constant, and a linear model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from statsmodels import datasets

from tests.workers.engine.tasks.factories import spec, trained


@dataclass(frozen=True)
class Cut:
    """One table, a quarter of its shuffled rows apart, in memory and as files."""

    train: Any
    held_out: Any
    files: tuple[Path, Path]


def cut(table: Any, folder: Path) -> Cut:
    """Of a data frame."""
    order = np.random.default_rng(0).permutation(len(table))
    out = len(order) // 4
    parts = table.iloc[order[out:]], table.iloc[order[:out]]
    files = folder / "train.csv", folder / "held-out.csv"
    for part, path in zip(parts, files, strict=True):
        part.to_csv(path, index=False)
    return Cut(*parts, files)


def plain(model: Any, data: Cut, target: str, texts: list[str]) -> Any:
    """A linear model of scaled numbers and one-hot texts, fitted."""
    numbers = [name for name in data.train.columns if name not in {target, *texts}]
    columns = make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(), texts))
    return make_pipeline(columns, model).fit(data.train.drop(columns=target), data.train[target])


def test_what_firms_invest_is_told_as_well_as_by_a_linear_model(
    tabular_base: Path, tmp_path: Path
) -> None:
    """Grunfeld's investments of eleven firms over twenty years; the firm is a column of texts."""
    table = datasets.grunfeld.load_pandas().data
    data = cut(table[["value", "capital", "year", "firm", "invest"]], tmp_path)
    settings = spec("tabular", learning_rate=0.01, epochs=60, schedule="cosine")
    found = trained(
        tabular_base, settings, data.files[0], tmp_path / "run", validation=data.files[1]
    ).metrics

    wanted = data.held_out["invest"]
    linear = plain(LinearRegression(), data, "invest", ["firm"])
    reference = mean_squared_error(wanted, linear.predict(data.held_out.drop(columns="invest")))
    constant = mean_squared_error(wanted, np.full(len(wanted), data.train["invest"].mean()))
    assert found["baseline_mse"] == pytest.approx(constant, rel=1e-4)
    assert found["validation_mse"] < 0.25 * constant
    assert found["validation_mse"] < 1.1 * reference


def test_how_people_vote_is_told_as_well_as_by_a_linear_model(
    tabular_base: Path, tmp_path: Path
) -> None:
    """The American National Election Studies' poll of 1996."""
    table = datasets.anes96.load_pandas().data.drop(columns="logpopul")
    table["vote"] = table["vote"].map({0.0: "Clinton", 1.0: "Dole"})
    data = cut(table, tmp_path)
    settings = spec("tabular", learning_rate=0.003, epochs=10, schedule="cosine")
    found = trained(
        tabular_base, settings, data.files[0], tmp_path / "run", validation=data.files[1]
    ).metrics

    wanted = data.held_out["vote"]
    linear = plain(LogisticRegression(), data, "vote", [])
    reference = linear.score(data.held_out.drop(columns="vote"), wanted)
    majority = (wanted == data.train["vote"].mode()[0]).mean()
    assert found["baseline_accuracy"] == pytest.approx(majority)
    assert found["validation_accuracy"] > majority + 0.2
    assert found["validation_accuracy"] >= reference - 0.02
