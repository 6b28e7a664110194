"""A CSV table as numbers, with an error that names the line where it is none."""

from __future__ import annotations

import csv
import gzip
import io
import math
from pathlib import Path
from typing import IO

import numpy as np

from plugins.sdk import PluginError

BUNDLED = Path(__file__).with_name("randhie.csv.gz")
BUNDLED_TARGET, BUNDLED_THRESHOLD = "mdvis", 6.0


def bundled() -> IO[bytes]:
    """The RAND Health Insurance Experiment: 20,190 person-years; `mdvis` is visits to a doctor."""
    return io.BytesIO(gzip.decompress(BUNDLED.read_bytes()))


def numbers_read(source: IO[bytes], least_rows: int) -> tuple[list[str], np.ndarray]:
    """Return the heading and the table, (rows, columns). Raises PluginError with the line."""
    try:
        lines = list(csv.reader(io.TextIOWrapper(source, "utf-8", newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise PluginError(f"the table is no CSV in UTF-8: {error}") from error
    names = lines[0] if lines else []
    rows = [_numbers(line, names, number) for number, line in enumerate(lines[1:], 2)]
    if len(rows) < least_rows:
        raise PluginError(f"the table has {len(rows)} rows; at least {least_rows} are needed")
    return names, np.array(rows)


def table_read(
    source: IO[bytes], target: str, threshold: float
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return features (rows, columns), outcomes (rows,) of 0 and 1, and the columns' names."""
    names, table = numbers_read(source, 200)
    if target not in names:
        raise PluginError(f"target: the table has no column {target!r}; it has {', '.join(names)}")
    at = names.index(target)
    outcomes = (table[:, at] >= threshold).astype(int)
    if min(outcomes.sum(), len(outcomes) - outcomes.sum()) < 20:
        raise PluginError("fewer than 20 rows are above, or below, the threshold: choose another")
    return np.delete(table, at, axis=1), outcomes, [n for n in names if n != target]


def _numbers(line: list[str], names: list[str], number: int) -> list[float]:
    if len(line) != len(names):
        raise PluginError(f"line {number} has {len(line)} values; the heading {len(names)}")
    try:
        values = [float(text) for text in line]
    except ValueError as error:
        raise PluginError(f"line {number}: {error}") from error
    if not all(map(math.isfinite, values)):
        raise PluginError(f"line {number} has a value that is not finite")
    return values
