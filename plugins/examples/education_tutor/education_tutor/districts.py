"""What districts' means explain of their pupils' results, and which districts do better than that.

Data: star98 of statsmodels (California's STAR programme, 1998; Gill 2001), read from statsmodels'
own folder, since its author keeps the rights. The columns on ethnicity are left out on purpose.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from plugins.sdk import PluginError

MEANS = ("LOWINC", "AVYRSEXP", "AVSALK", "PERSPENK", "PTRATIO", "PCTAF", "PCTCHRT", "PCTYRRND")


@dataclass(frozen=True)
class Analysed:
    """One entry a district: the share above the national median, and the share to be expected."""

    share: np.ndarray
    expected: np.ndarray
    figures: dict[str, float]


def star98() -> tuple[np.ndarray, np.ndarray]:
    """Return means (districts, columns) and the share of pupils above the median (districts,)."""
    spec = find_spec("statsmodels")  # found, not imported: only its folder is needed
    if spec is None or not spec.submodule_search_locations:
        raise PluginError("statsmodels, which brings the data, is not installed here")
    folder = Path(spec.submodule_search_locations[0])
    with (folder / "datasets" / "star98" / "star98.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    means = np.array([[float(row[name]) for name in MEANS] for row in rows])
    share = np.array([float(row["PR50M"]) / float(row["MATHTOT"]) for row in rows])
    return means, share


def analyse(means: np.ndarray, share: np.ndarray) -> Analysed:
    """Each district is expected from the others: ridge on the logit, 10 folds."""
    bounded = np.clip(share, 0.005, 0.995)
    logit = np.log(bounded / (1 - bounded))
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 3, 11)))
    folds = KFold(10, shuffle=True, random_state=0)
    expected = 1 / (1 + np.exp(-cross_val_predict(model, means, logit, cv=folds)))
    baseline = np.empty_like(share)
    for learned, judged in folds.split(means):
        baseline[judged] = share[learned].mean()
    figures = {
        "districts": float(len(share)),
        "error": float(np.abs(expected - share).mean()),
        "error_of_mean": float(np.abs(baseline - share).mean()),
        "explained": float(1 - ((expected - share) ** 2).sum() / ((baseline - share) ** 2).sum()),
    }
    return Analysed(share, expected, figures)
