"""Real tables from scikit-learn as files, split into training and held-out rows."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

from tests.workers.engine.factories import Recorder, handle, work
from workers.engine.protocol import Member, Result
from workers.engine.specs import FineTuneSpec
from workers.engine.training.loop import train

LOADERS = {
    "diabetes": datasets.load_diabetes,
    "breast_cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
}


@dataclass(frozen=True)
class Split:
    """A data set cut once: two files, and the same numbers for references."""

    train: Path
    held_out: Path
    x: Any
    y: Any
    x_held_out: Any
    y_held_out: Any


FOLDS = 4


def table_split(name: str, folder: Path, *, fold: int = 0) -> Split:
    """One of four parts of the shuffled rows is held out."""
    data = LOADERS[name]()
    order = np.random.default_rng(0).permutation(len(data.target))
    x, y = data.data[order], data.target[order]
    out = np.arange(len(y)) % FOLDS == fold
    labels = y if name == "diabetes" else data.target_names[y]
    names = [str(n).replace(" ", "_") for n in data.feature_names]
    return Split(
        table_write(folder / f"{name}.csv", names, x[~out], labels[~out]),
        table_write(folder / f"{name}-held-out.csv", names, x[out], labels[out]),
        x[~out],
        y[~out],
        x[out],
        y[out],
    )


def table_write(path: Path, names: list[str], features: Any, targets: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow([*names, "target"])
        rows.writerows([*x, y] for x, y in zip(features.tolist(), targets.tolist(), strict=True))
    return path


def spec(task: str, **changes: Any) -> FineTuneSpec:
    """Settings of a small task, trained whole."""
    given = {"task": task, "method": "full", "snapshot_every_steps": 0, "batch_size": 16}
    return FineTuneSpec.from_dict(given | changes)


def trained(
    base: Path,
    settings: FineTuneSpec,
    data: Path,
    folder: Path,
    *,
    validation: Path | None = None,
    progress: Recorder | None = None,
    **member: Any,
) -> Result:
    """Train one member through the loop."""
    held_out = handle(validation) if validation else None
    given = Member("m", settings, handle(data), validation=held_out, **member)
    (result,) = train(work(base, folder, given), progress or Recorder(folder.parent))
    return result
