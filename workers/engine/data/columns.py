"""A table's columns as numbers: standardised, one place per category, missing = the mean.

All that it takes is found in the training rows and stored with the model. Free of torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from workers.engine.data.tables import Table, is_missing, is_regression, number
from workers.engine.errors import DataError
from workers.engine.specs import TabularSpec

Floats = npt.NDArray[np.float32]
MOST_CATEGORIES = 256


@dataclass(frozen=True)
class Column:
    """A numeric column (`mean`, `scale`), or one of texts (`categories`)."""

    name: str
    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return len(self.categories) or 1

    def encode(self, value: Any) -> list[float]:
        """Raises ValueError for a text where a number belongs."""
        if self.categories:
            return [float(str(value) == category) for category in self.categories]
        if is_missing(value):
            return [0.0]
        found = number(value)
        if found is None:
            raise ValueError(f"{value!r} is no finite number")
        return [(found - self.mean) / self.scale]


@dataclass(frozen=True)
class Schema:
    """How rows become numbers and predictions become answers.

    `classes` is empty for regression, whose target is standardised by `mean` and `scale`.
    """

    columns: tuple[Column, ...]
    target: str
    classes: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = 1.0

    @classmethod
    def fit(cls, table: Table, spec: TabularSpec) -> Self:
        """The schema of a checked training table.

        Raises:
            DataError: a column of texts has too many different ones.
        """
        features = [i for i in range(len(table.columns)) if i != table.target]
        columns = tuple(
            _column(table.columns[i], [row.cells[i] for row in table.rows]) for i in features
        )
        target = table.columns[table.target]
        if not is_regression(table, spec):
            return cls(columns, target, tuple(sorted({str(v) for v in table.targets()})))
        mean, scale = _moments([float(value) for value in table.targets()])
        return cls(columns, target, (), mean, scale)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        columns = tuple(
            Column(**{**each, "categories": tuple(each["categories"])}) for each in given["columns"]
        )
        return cls(**{**given, "columns": columns, "classes": tuple(given["classes"])})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def inputs(self) -> int:
        """Numbers per row."""
        return sum(column.width for column in self.columns)

    @property
    def outputs(self) -> int:
        return len(self.classes) or 1

    def features(self, rows: Sequence[Mapping[str, Any]], lines: Sequence[int]) -> Floats:
        """(rows, inputs), from values by column name.

        Raises:
            DataError: a row lacks a column, or holds a text where a number belongs; with its line.
        """
        out = np.empty((len(rows), self.inputs), dtype=np.float32)
        for place, (row, line) in enumerate(zip(rows, lines, strict=True)):
            encoded: list[float] = []
            for column in self.columns:
                if column.name not in row:
                    raise DataError(
                        f"line {line}, {column.name}: the column is missing; give the columns that "
                        "the model was trained on."
                    )
                try:
                    encoded += column.encode(row[column.name])
                except ValueError as error:
                    raise DataError(f"line {line}, {column.name}: {error}; mend it.") from error
            out[place] = encoded
        return out

    def labels(self, table: Table) -> Floats:
        """(rows,): standardised targets, or the classes' places.

        Raises:
            DataError: a target is no number, or a class that training did not see; with its line.
        """
        out = np.empty(len(table.rows), dtype=np.float32)
        places = {label: place for place, label in enumerate(self.classes)}
        for index, row in enumerate(table.rows):
            value = row.cells[table.target]
            found = places.get(str(value)) if self.classes else number(value)
            if found is None:
                what = "no class of the training data" if self.classes else "no finite number"
                raise DataError(f"line {row.line}, {self.target}: {value!r} is {what}; mend it.")
            out[index] = found if self.classes else (found - self.mean) / self.scale
        return out


def _column(name: str, values: Sequence[Any]) -> Column:
    present = [value for value in values if not is_missing(value)]
    numbers = [number(value) for value in present]
    if all(n is not None for n in numbers):
        mean, scale = _moments([n for n in numbers if n is not None])
        return Column(name, mean, scale)
    categories = sorted({str(value) for value in present})
    if len(categories) > MOST_CATEGORIES:
        raise DataError(
            f"the column {name} holds {len(categories):,} different texts, at most "
            f"{MOST_CATEGORIES} are told apart; leave it out, or group its values."
        )
    return Column(name, categories=tuple(categories))


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation; a constant column is scaled by one."""
    if not values:
        return 0.0, 1.0
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))
    return mean, deviation if deviation > 1e-12 * max(1.0, abs(mean)) else 1.0
