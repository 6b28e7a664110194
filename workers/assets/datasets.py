"""What a data file holds: counts, duplicates, problems, lengths. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from tenants.kernel.errors import InvalidInput
from workers.engine.data.problems import Problem

KEPT_PROBLEMS = 100
SHOWN_PROBLEMS = 3


@dataclass
class Tally:
    """The figures of one reading; the first hundred `problems` are kept, all are counted."""

    examples: int = 0
    tokens: int = 0
    loss_tokens: int = 0
    longest: int = 0
    longest_line: int = 0
    duplicates: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)
    problem_count: int = 0


class Counted(Protocol):
    """One example of whatever task, as its reader gives it."""

    line: int

    @property
    def tokens(self) -> int: ...

    @property
    def loss_tokens(self) -> int: ...

    def fingerprint(self) -> bytes: ...


def tally(items: Iterable[Any]) -> Tally:
    """Count what a reader yields: problems, and examples as `Counted` describes them."""
    total, seen = Tally(), set[bytes]()
    for item in items:
        if isinstance(item, Problem):
            total.problem_count += 1
            if len(total.problems) < KEPT_PROBLEMS:
                total.problems.append(asdict(item))
            continue
        _count(total, item, seen)
    return total


def _count(total: Tally, example: Counted, seen: set[bytes]) -> None:
    total.examples += 1
    total.tokens += example.tokens
    total.loss_tokens += example.loss_tokens
    longest = getattr(example, "longest", example.tokens)  # of several texts, the longest one's
    if longest > total.longest:
        total.longest, total.longest_line = longest, example.line
    print_ = example.fingerprint()
    if print_ in seen:
        total.duplicates += 1
    seen.add(print_)


def row_format(line: bytes) -> str:
    """What a file's first line shows it to be: "chat", "completion", "text" or "unknown"."""
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError):
        return "unknown"
    keys = row.keys() if isinstance(row, dict) else ()
    marks = {"messages": "chat", "prompt": "completion", "completion": "completion", "text": "text"}
    return next((form for key, form in marks.items() if key in keys), "unknown")


def problem_sentence(problems: Sequence[Mapping[str, Any]], count: int) -> str:
    """The first problems in words, each with its line, and how many more there are."""
    shown = [
        f"line {p['line']}, {p['field']}: {p['reason']}; {p['fix']}"
        for p in problems[:SHOWN_PROBLEMS]
    ]
    more = count - len(shown)
    return " | ".join(shown) + (f" | and {more} more" if more > 0 else "")


def refuse_too_long(
    *, longest: int, longest_line: int, limit: int, policy: str, param: str
) -> None:
    """Raises InvalidInput where the policy is "error" and an example exceeds `limit` tokens."""
    if policy == "error" and longest > limit:
        raise InvalidInput(
            f"line {longest_line} has {longest} tokens, the limit is {limit}; shorten it, raise "
            "max_length, or choose length_policy 'truncate' or 'split'",
            param=param,
            code="example_too_long",
        )
