"""Tables from CSV or Parquet: rows with their line, and every problem with its remedy.

Free of torch; the dataset service counts and validates with it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from workers.engine.data.problems import Problem
from workers.engine.specs import TabularSpec

MOST_CELLS = 20_000_000
MOST_COLUMNS = 4096
MOST_CLASSES = 1000
FEW_NUMBERS = 20  # so few different whole numbers in the target are taken for classes
FEWEST_PER_CLASS = 2
PARQUET = b"PAR1"
MODEL_TYPE = "breakwater_mlp"


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `cells` stand in the order of the table's columns, "" or None = missing."""

    line: int
    cells: tuple[Any, ...]

    @property
    def tokens(self) -> int:
        """A cell is to a table what a token is to a text; the target is not read."""
        return len(self.cells) - 1

    @property
    def loss_tokens(self) -> int:
        return 1

    def fingerprint(self) -> bytes:
        """64 bits of the content."""
        return hashlib.blake2b(repr(self.cells).encode(), digest_size=8).digest()


@dataclass(frozen=True)
class Table:
    """A whole table: at most 20 million cells."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    target: int  # the place of the column to predict

    def targets(self) -> list[Any]:
        return [row.cells[self.target] for row in self.rows]


class _Refused(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def table_read(
    handle: BinaryIO, spec: TabularSpec, *, training: bool
) -> tuple[Table | None, list[Problem]]:
    """The table, where it has a usable header, and all that is wrong with it.

    With `training`, also that there is something to learn: two classes of two rows at least.
    """
    try:
        columns, rows = _open(handle)
        target = _target(columns, spec)
    except _Refused as refused:
        return None, [refused.problem]
    good: list[Row] = []
    problems: list[Problem] = []
    for item in rows:
        problem = item if isinstance(item, Problem) else _row_problem(item, columns, target, spec)
        if problem is not None:
            problems.append(problem)
        else:
            assert isinstance(item, Row)  # noqa: S101  (for the type checker)
            good.append(item)
        if len(good) * len(columns) > MOST_CELLS:
            fix = "split the file, or leave out columns."
            return None, [_whole("too_large", f"the table has over {MOST_CELLS:,} cells", fix)]
    table = Table(columns, tuple(good), target)
    if not good and not problems:
        problems.append(_whole("empty", "the table has no rows", "add rows below the header."))
    if training and not problems:
        problems += _lessons(table, spec)
    return table, problems


def is_regression(table: Table, spec: TabularSpec) -> bool:
    """Whether the target is a quantity: as the spec says, else by its values."""
    if spec.problem != "auto":
        return spec.problem == "regression"
    numbers = [number(value) for value in table.targets()]
    known = [n for n in numbers if n is not None]
    different = set(known)
    return len(known) == len(numbers) and (
        len(different) > FEW_NUMBERS or not all(n.is_integer() for n in different)
    )


def number(value: Any) -> float | None:
    """The finite number that a cell holds; None where it holds none."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _open(handle: BinaryIO) -> tuple[tuple[str, ...], Iterator[Row | Problem]]:
    content = handle.read()
    columns, rows = _parquet(content) if content.startswith(PARQUET) else _csv(content)
    if len(columns) < 2 or len(columns) > MOST_COLUMNS:
        fix = "write a header with at least one feature and the target, separated by commas."
        reason = f"the header has {len(columns)} columns"
        raise _Refused(Problem(1, "header", "wrong_columns", reason, fix))
    twice = [name for name, count in Counter(columns).items() if count > 1 or not name]
    if twice:
        reason = f"the column name {twice[0]!r} is empty or occurs twice"
        raise _Refused(Problem(1, "header", "unclear_column", reason, "name each column once."))
    return columns, rows


def _csv(content: bytes) -> tuple[tuple[str, ...], Iterator[Row | Problem]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        problem = Problem(line, "line", "not_utf8", "the line is not UTF-8", "save it as UTF-8.")
        raise _Refused(problem) from error
    lines = csv.reader(io.StringIO(text, newline=""))
    header = next(lines, [])
    columns = tuple(name.strip() for name in header)
    return columns, _csv_rows(lines, len(columns))


def _csv_rows(lines: Any, width: int) -> Iterator[Row | Problem]:
    try:
        for cells in lines:
            if not cells:
                continue
            if len(cells) != width:
                reason = f"the row has {len(cells)} cells, the header has {width}"
                fix = "give every row one cell per column; put text with commas into quotes."
                yield Problem(lines.line_num, "line", "wrong_width", reason, fix)
                continue
            yield Row(lines.line_num, tuple(cells))
    except csv.Error as error:
        fix = "save it as plain CSV with commas."
        yield Problem(lines.line_num, "line", "not_csv", f"the line is no CSV ({error})", fix)


def _parquet(content: bytes) -> tuple[tuple[str, ...], Iterator[Row | Problem]]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(io.BytesIO(content))
        if file.metadata.num_rows * file.metadata.num_columns > MOST_CELLS:
            reason = f"the table has over {MOST_CELLS:,} cells"
            raise _Refused(_whole("too_large", reason, "split the file, or leave out columns."))
        table = file.read()
    except ArrowException as error:
        reason = f"the Parquet file cannot be read ({error})"
        raise _Refused(_whole("not_parquet", reason, "write it again.")) from error
    values = [column.to_pylist() for column in table.columns]
    rows = (Row(line, cells) for line, cells in enumerate(zip(*values, strict=True), start=1))
    return tuple(table.column_names), rows


def _target(columns: Sequence[str], spec: TabularSpec) -> int:
    if not spec.target:
        return len(columns) - 1
    if spec.target not in columns:
        reason = f"there is no column {spec.target!r}; there are {', '.join(columns[:20])}"
        fix = "name one of them in tabular.target."
        raise _Refused(Problem(1, "header", "no_target", reason, fix))
    return columns.index(spec.target)


def _row_problem(
    row: Row, columns: Sequence[str], target: int, spec: TabularSpec
) -> Problem | None:
    value, name = row.cells[target], columns[target]
    if is_missing(value):
        fix = "fill it in, or leave the row out."
        return Problem(row.line, name, "no_target", "the target is missing", fix)
    if spec.problem == "regression" and number(value) is None:
        reason, fix = f"{value!r} is no finite number", "write a number, or choose classification."
        return Problem(row.line, name, "not_a_number", reason, fix)
    for place, cell in enumerate(row.cells):
        if str(cell).strip().lower() in {"inf", "-inf", "+inf", "nan", "infinity"}:
            reason = f"{cell!r} is no finite number"
            fix = "write a number, or leave the cell empty where it is unknown."
            return Problem(row.line, columns[place], "not_finite", reason, fix)
    return None


def _lessons(table: Table, spec: TabularSpec) -> list[Problem]:
    name = table.columns[table.target]
    counts = Counter(str(value) for value in table.targets())
    if len(counts) < 2:
        reason = f"the target is {next(iter(counts))!r} in every row"
        return [Problem(0, name, "constant_target", reason, "add rows with other targets.")]
    if is_regression(table, spec):
        return []
    if len(counts) > MOST_CLASSES:
        reason = f"the target has {len(counts):,} classes; at most {MOST_CLASSES:,} are learned"
        return [Problem(0, name, "too_many_classes", reason, "choose regression, or merge some.")]
    rare = sorted(label for label, count in counts.items() if count < FEWEST_PER_CLASS)
    first = {str(row.cells[table.target]): row.line for row in reversed(table.rows)}
    fix = "add another, merge it into a class, or leave it out."
    return [
        Problem(first[label], name, "rare_class", f"the class {label!r} has one example only", fix)
        for label in rare
    ]


def _whole(code: str, reason: str, fix: str) -> Problem:
    return Problem(0, "file", code, reason, fix)
