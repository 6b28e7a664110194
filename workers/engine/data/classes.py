"""Labels and the classes that they make: what all classifiers' data have in common.

Free of torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workers.engine.data.problems import Problem
from workers.engine.data.rows import RowError

MOST_CLASSES = 1000
MOST_LABEL = 200  # characters
FEWEST_PER_CLASS = 2


def label_read(label: Any) -> str:
    """A row's class as text. Raises RowError."""
    if isinstance(label, bool) or not isinstance(label, (str, int)) or not str(label).strip():
        raise RowError("label", "no_label", f"the label is {label!r}", "give a word or a number.")
    if len(str(label)) > MOST_LABEL:
        raise RowError("label", "long_label", "the label is over 200 characters", "shorten it.")
    return str(label)


class Seen:
    """The classes of a file so far: where each was first met, and how often."""

    def __init__(self) -> None:
        self._classes: dict[str, list[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._classes)

    def add(self, label: str, line: int) -> None:
        self._classes.setdefault(label, [line, 0])[1] += 1

    def problems(self) -> Iterator[Problem]:
        """Why nothing can be learned: there must be two classes, of two examples each, at least."""
        if len(self._classes) < 2:
            reason = f"every label is {next(iter(self._classes))!r}"
            yield Problem(0, "label", "one_class", reason, "add examples of another class.")
        if len(self._classes) > MOST_CLASSES:
            count = len(self._classes)
            reason = f"there are {count:,} classes; at most {MOST_CLASSES:,} are learned"
            yield Problem(0, "label", "too_many_classes", reason, "merge some.")
        for label, (line, count) in sorted(self._classes.items()):
            if count < FEWEST_PER_CLASS:
                reason = f"the class {label!r} has one example only"
                yield Problem(line, "label", "rare_class", reason, "add another, or leave it out.")
