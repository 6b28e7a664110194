"""A table of measurements with a diagnosis in one column, or an error that names the line."""

from __future__ import annotations

import csv
import io
import math
from typing import IO

import numpy as np
from sklearn.datasets import load_breast_cancer

from plugins.sdk import PluginError

LEAST_ROWS, LEAST_OF_EACH = 100, 20


def bundled() -> tuple[np.ndarray, np.ndarray]:
    """Breast Cancer Wisconsin (Diagnostic), 569 rows, as scikit-learn brings it; 1 is malignant."""
    features, benign = load_breast_cancer(return_X_y=True)
    return features, 1 - benign


def table_read(source: IO[bytes], target: str) -> tuple[np.ndarray, np.ndarray]:
    """Return features (rows, columns) and labels (rows,) of 0 and 1. Raises PluginError."""
    try:
        lines = list(csv.reader(io.TextIOWrapper(source, "utf-8", newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise PluginError(f"the table is no CSV in UTF-8: {error}") from error
    names = lines[0] if lines else []
    if target not in names:
        raise PluginError(f"target: the table has no column {target!r}; it has {', '.join(names)}")
    if len(names) < 2:
        raise PluginError("the table has no column beside its target")
    table = np.array([_numbers(line, len(names), at) for at, line in enumerate(lines[1:], 2)])
    if len(table) < LEAST_ROWS:
        raise PluginError(f"the table has {len(table)} rows; at least {LEAST_ROWS} are needed")
    at = names.index(target)
    labels = table[:, at]
    if not np.isin(labels, (0, 1)).all():
        raise PluginError(f"{target}: write 1 for ill and 0 for well, and nothing else")
    if min(labels.sum(), len(labels) - labels.sum()) < LEAST_OF_EACH:
        raise PluginError(f"{target}: at least {LEAST_OF_EACH} rows of each kind are needed")
    return np.delete(table, at, axis=1), labels.astype(int)


def _numbers(line: list[str], columns: int, number: int) -> list[float]:
    if len(line) != columns:
        raise PluginError(f"line {number} has {len(line)} values, the heading {columns}")
    try:
        values = [float(text) for text in line]
    except ValueError as error:
        raise PluginError(f"line {number}: {error}") from error
    if not all(map(math.isfinite, values)):
        raise PluginError(f"line {number} has a value that is not finite")
    return values
