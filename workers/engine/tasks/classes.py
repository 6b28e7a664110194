"""Metrics of classification, from a confusion matrix."""

from __future__ import annotations

from typing import Any

import numpy as np


def class_metrics(confusion: Any, classes: int) -> dict[str, float]:
    """Accuracy, and the mean F1 of the classes that occur, guessed or wanted.

    `confusion`: (classes²,) counts, wanted · classes + guessed; None = nothing measured.
    """
    if confusion is None:
        return {"accuracy": 0.0, "macro_f1": 0.0}
    table = np.asarray(confusion, dtype=np.float64).reshape(classes, classes)
    hits, wanted, guessed = np.diag(table), table.sum(1), table.sum(0)
    occurs = wanted + guessed > 0
    f1 = 2 * hits[occurs] / (wanted + guessed)[occurs]
    return {"accuracy": float(hits.sum() / table.sum()), "macro_f1": float(f1.mean())}


def most_frequent(labels: Any, held_out: Any) -> dict[str, float]:
    """The accuracy of always guessing the most frequent class; (N,) and (M,) places of classes."""
    guess = np.bincount(np.asarray(labels, dtype=np.int64)).argmax()
    return {"accuracy": float((np.asarray(held_out) == guess).mean())}
