"""What a step of a job calls of a plugin, and what a hook that makes a dataset must have made."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plugins.host.facts import Failure, Outcome

MAKES_DATASET = frozenset({"prepare_dataset", "read_dataset"})
LONGEST_LINE = 16 * 2**20  # bytes


def hook_of(step: Mapping[str, Any], pipeline: str) -> tuple[str, dict[str, Any]]:
    """The hook and its arguments, `work` apart."""
    if "hook" in step:
        return step["hook"], dict(step["args"])
    return "run_step", {"pipeline": pipeline, "step": step["name"]}


def judged(step: Mapping[str, Any], outcome: Outcome, results: Path) -> Outcome:
    """The outcome, failed where a dataset was to be made and is none: one file of JSON lines."""
    if outcome.failure is not None or step.get("hook") not in MAKES_DATASET:
        return outcome
    wrong = _wrong(outcome.value.files, results)
    if wrong is None:
        return outcome
    failure = Failure("contract", f"{step['hook']}: {wrong}")
    return dataclasses.replace(outcome, value=None, failure=failure)


def _wrong(files: tuple[str, ...], results: Path) -> str | None:
    if len(files) != 1:
        return f"its result is one file of JSON lines, not {len(files)} files"
    with (results / files[0]).open("rb") as lines:
        number = 0
        while line := lines.readline(LONGEST_LINE):
            number += 1
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                return f"line {number} of its result is no JSON object"
    return None if number else "its result is empty"
