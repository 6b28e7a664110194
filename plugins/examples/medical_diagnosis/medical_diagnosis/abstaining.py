"""A classifier that answers only where rows that it has not learned from let it trust itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ABSTAINS = -1


@dataclass(frozen=True)
class Judged:
    """The test rows: what was answered (ABSTAINS where unsure), with which confidence."""

    rows: np.ndarray
    truth: np.ndarray
    forced: np.ndarray  # the answer where abstaining is forbidden
    answers: np.ndarray
    confidence: np.ndarray
    majority: int  # the plain baseline: always what was most frequent


def judge(features: np.ndarray, labels: np.ndarray, most_wrong: float, seed: int = 0) -> Judged:
    """Fit on half of the rows, set the threshold on 20 %, answer the last 30 %."""
    order = np.random.default_rng(seed).permutation(len(labels))
    fit, tune, test = np.split(order, [len(order) * 5 // 10, len(order) * 7 // 10])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(features[fit], labels[fit])
    likely = model.predict_proba(features)
    confidence = likely.max(axis=1)
    answers = model.classes_[likely.argmax(axis=1)]
    least = threshold(confidence[tune], answers[tune] != labels[tune], most_wrong)
    kept = np.where(confidence[test] >= least, answers[test], ABSTAINS)
    values, counts = np.unique(labels[fit], return_counts=True)
    majority = int(values[counts.argmax()])
    return Judged(test, labels[test], answers[test], kept, confidence[test], majority)


def threshold(confidence: np.ndarray, wrong: np.ndarray, most_wrong: float) -> float:
    """The least confidence from which on at most `most_wrong` of answers are wrong; else infinity.

    Selective classification (Geifman and El-Yaniv 2017), by the risk on held-out rows.
    """
    order = np.argsort(-confidence, kind="stable")
    risk = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    # rows of equal confidence are answered together
    last = np.append(np.diff(confidence[order]) != 0, True)
    good = np.flatnonzero((risk <= most_wrong) & last)
    return float(confidence[order][good[-1]]) if len(good) else float("inf")


def figures(judged: Judged) -> dict[str, float]:
    """Error with and without abstaining, beside that of always saying the most frequent."""
    kept = judged.answers != ABSTAINS
    wrong = judged.answers[kept] != judged.truth[kept]
    return {
        "rows_judged": float(len(judged.truth)),
        "answered": float(kept.mean()),
        "error": float(wrong.mean()) if kept.any() else 0.0,
        "error_if_forced": float((judged.forced != judged.truth).mean()),
        "error_of_majority": float((judged.majority != judged.truth).mean()),
    }


def sensitivity_specificity(judged: Judged) -> dict[str, float]:
    """Over the rows that were answered: the ill found ill, the well found well."""
    found = {}
    for name, value in (("sensitivity", 1), ("specificity", 0)):
        these = (judged.truth == value) & (judged.answers != ABSTAINS)
        if these.any():
            found[name] = float((judged.answers[these] == value).mean())
    return found
