"""Answers as a table: learner, exercise, right (1 or 0); what is no such table is named by line."""

from __future__ import annotations

import csv
import io
from typing import IO

import numpy as np

from plugins.sdk import PluginError

HEADING = ["learner", "exercise", "right"]
LEAST = 50


def answers_read(source: IO[bytes]) -> tuple[list[str], list[str], np.ndarray]:
    """Return learners, exercises and answers (learners, exercises), NaN where there is none.

    Of two answers to one exercise the later counts. Raises PluginError.
    """
    try:
        lines = list(csv.reader(io.TextIOWrapper(source, "utf-8", newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise PluginError(f"the table is no CSV in UTF-8: {error}") from error
    if not lines or lines[0] != HEADING:
        raise PluginError(f"line 1 is the heading: {','.join(HEADING)}")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != 3 or line[2] not in {"0", "1"}:
            raise PluginError(f"line {number}: a learner, an exercise, and 1 or 0 are needed")
    if len(lines) - 1 < LEAST:
        raise PluginError(f"the table has {len(lines) - 1} answers; at least {LEAST} are needed")
    learners, exercises = (sorted({line[at] for line in lines[1:]}) for at in (0, 1))
    answers = np.full((len(learners), len(exercises)), np.nan)
    row_of = {name: at for at, name in enumerate(learners)}
    column_of = {name: at for at, name in enumerate(exercises)}
    for learner, exercise, right in lines[1:]:
        answers[row_of[learner], column_of[exercise]] = float(right)
    return learners, exercises, answers
