"""Takes personal data of a fixed shape out of a dataset before it is trained on."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from plugins.builtin.redaction.patterns import KINDS, Kind, redact
from plugins.sdk import PluginError, StepResult, Work, hookimpl

RESULT = "redacted.jsonl"


@hookimpl
def prepare_dataset(work: Work) -> StepResult:
    """Redact every string of every line; keys and numbers stay. One line in, one line out."""
    chosen = work.settings.get("kinds") or list(KINDS)
    kinds = {name: kind for name, kind in KINDS.items() if name in chosen}
    (source,) = work.inputs
    counts: Counter[str] = Counter()
    read = 0
    with work.open(source) as lines, work.create(RESULT) as out:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except ValueError as error:
                raise PluginError(f"{source.name}: line {number} is no JSON: {error}") from error
            clean = _clean(record, kinds, counts)
            out.write(json.dumps(clean, ensure_ascii=False).encode() + b"\n")
            read += len(line)
            if number % 1000 == 0:
                work.beat(min(read / max(source.size, 1), 1.0))
    figures = {f"redacted.{name}": counts[name] for name in kinds}
    return StepResult(figures=dict(figures), files=(RESULT,))


def _clean(value: Any, kinds: dict[str, Kind], counts: Counter[str]) -> Any:
    if isinstance(value, str):
        text, found = redact(value, kinds)
        counts.update(found)
        return text
    if isinstance(value, list):
        return [_clean(item, kinds, counts) for item in value]
    if isinstance(value, dict):
        return {key: _clean(item, kinds, counts) for key, item in value.items()}
    return value
