"""The founding example over the API: the network 10-5-3-1 on the diabetes table, rows held out.

    python -m pytest -s -m slow tests/journeys/test_seed_example.py

prints a line a seed: mean squared errors before and after, of the mean, of a linear regression.
"""

from __future__ import annotations

import sys
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error

from tests.journeys.checked import checked
from tests.journeys.test_main_job import Newcomer, ended, until
from tests.servers import System
from tests.workers.engine.tasks.factories import FOLDS, Split, table_split

pytestmark = [pytest.mark.demo, pytest.mark.timeout(600)]

MODEL = "tabular-mlp"
SEEDS = 10
SETTINGS: dict[
    str, Any
] = {  # the essay's, with updates of 16 rows: with one an epoch nothing is learned
    "tabular": {"hidden": "seed"},
    "optimiser": "adam",
    "learning_rate": 0.01,
    "epochs": 10,
    "schedule": "constant",
    "batch_size": 16,
}


@dataclass(frozen=True)
class Errors:
    """Mean squared errors on held-out rows."""

    before: float
    after: float
    constant: float
    linear: float


@pytest.fixture(scope="module")
def analyst(system: System) -> Newcomer:
    system.manage("base_model", "build")  # at once, where they are there already
    return Newcomer(system.base_url, "Analyst")


def submitted(who: Newcomer, data: Split, seed: int) -> str:
    """The id of a fine-tune of one part of the table, the rest held out."""

    def uploaded(path: Path) -> str:
        return who.openai.files.create(file=path, purpose="fine-tune").id

    job = who.openai.fine_tuning.jobs.create(
        model=MODEL,
        training_file=uploaded(data.train),
        validation_file=uploaded(data.held_out),
        seed=seed,
        extra_body={"settings": SETTINGS},
    )
    return checked(job).id


def errors(who: Newcomer, job_id: str, data: Split) -> Errors:
    """What the API tells of the job once it has ended; references by scikit-learn."""
    job = ended(who, job_id)
    assert job.status == "succeeded", job.error
    events = who.openai.fine_tuning.jobs.list_events(job_id, limit=100)
    points: list[Any] = [event.data for event in events if event.type == "metrics"]
    held_out = sorted((p["step"], p["validation_mse"]) for p in points if "validation_mse" in p)
    assert held_out[0][0] == 0
    wanted = data.y_held_out
    return Errors(
        before=held_out[0][1],
        after=held_out[-1][1],
        constant=mean_squared_error(wanted, np.full(len(wanted), data.y.mean())),
        linear=mean_squared_error(
            wanted, LinearRegression().fit(data.x, data.y).predict(data.x_held_out)
        ),
    )


def test_the_networks_error_on_rows_held_out_falls_and_is_measured_alike(
    analyst: Newcomer, tmp_path: Path
) -> None:
    data = table_split("diabetes", tmp_path)
    job_id = submitted(analyst, data, seed=0)
    found = errors(analyst, job_id, data)
    assert found.after < 0.75 * min(found.before, found.constant)

    # and an evaluation of the model that came of it says the same
    file = analyst.openai.files.create(file=data.held_out, purpose="fine-tune").id
    body = {"model": analyst.job(job_id).fine_tuned_model, "file": file}
    made = analyst.http.post("/v1/evaluations", json=body).raise_for_status().json()

    def measured() -> Any:
        row = analyst.http.get(f"/v1/evaluations/{made['id']}").json()
        assert row["status"] != "failed", row["error"]
        return row["status"] == "succeeded" and row["metrics"]

    assert until("it is measured", measured)["mse"] == pytest.approx(found.after, rel=1e-4)


@pytest.mark.slow
def test_ten_seeds_learn_as_well_as_linear_regression(analyst: Newcomer, tmp_path: Path) -> None:
    """Each row is held out in two seeds or three: the four parts of the table take turns."""
    parts = [table_split("diabetes", tmp_path / str(fold), fold=fold) for fold in range(FOLDS)]
    data = [parts[seed % FOLDS] for seed in range(SEEDS)]
    jobs = [submitted(analyst, data[seed], seed) for seed in range(SEEDS)]
    found = [errors(analyst, jobs[seed], data[seed]) for seed in range(SEEDS)]

    show("seed", "before", "after", "constant", "linear")
    for seed, each in enumerate(found):
        show(seed, *(round(number) for number in astuple(each)))
    show("median", *(round(median(column)) for column in zip(*map(astuple, found), strict=True)))
    assert median(each.after / each.before for each in found) < 0.6
    assert median(each.after / each.constant for each in found) < 0.7
    assert median(each.after / each.linear for each in found) < 1.1


def show(*cells: object) -> None:
    sys.stdout.write("".join(f"{cell:>10}" for cell in cells) + "\n")
