"""What a long benchmark has measured so far, so that an interrupted run goes on where it was.

Kept under `$BREAKWATER_VAR/bench`, and forgotten when the benchmark or the code that it measures
changes.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.compression.subject import ROOT, VAR

MEASURES = ("workers/engine/compression", "tests/benchmarks/compression")


class Notes:
    """Of the benchmark in `file`, which measures the code in the folders of `measures`."""

    def __init__(self, file: str, measures: Sequence[str] = MEASURES) -> None:
        sources = [Path(file), *(p for name in measures for p in (ROOT / name).rglob("*.py"))]
        code = b"".join(path.read_bytes() for path in sorted(sources))
        self.folder = VAR / f"{Path(file).stem}-{hashlib.sha256(code).hexdigest()[:12]}"
        self.folder.mkdir(parents=True, exist_ok=True)

    def note(self, what: str, measure: Callable[..., Any], *given: Any) -> Any:
        """What `measure(*given)` answers, from an earlier run where there was one; printed."""
        path = self.folder / f"{what.replace('/', '-')}.json"
        if not path.is_file():
            found = json.dumps(measure(*given))
            path.write_text(found)
        sys.stdout.write(f"{what}: {path.read_text()}\n")
        sys.stdout.flush()
        return json.loads(path.read_text())
