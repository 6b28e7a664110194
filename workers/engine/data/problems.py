"""What is wrong with data: where, why, and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workers.engine.errors import DataError

SHOWN_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in `line` (from 1; 0 = the whole file), in which field, and how to mend it."""

    line: int
    field: str
    code: str
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.field}: {self.reason}; {self.fix}"


def problems_refuse(problems: Sequence[Problem]) -> None:
    """Raises DataError that names the first few, where there are any."""
    if problems:
        more = " (and maybe more)" if len(problems) >= SHOWN_PROBLEMS else ""
        shown = " | ".join(map(str, problems[:SHOWN_PROBLEMS]))
        raise DataError(f"the data cannot be used: {shown}{more}")
