"""`make bench`: every `bench_*.py` beside this, each in a process of its own, in one table.

A benchmark is a module with `main() -> dict`: measure → number, text, or a dict of them. What the
run found is printed and written to `$VAR/bench.json`.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LIMIT_S = 5400.0
RAW = "runs"  # the raw measurements: kept in bench.json, not in the table
_CALL = """
import importlib, json, sys
name, answer = sys.argv[1:]
sys.argv[1:] = []
found = importlib.import_module(name).main()
with open(answer, "w") as out:
    json.dump(found, out, default=str)
"""


def main(arguments: list[str]) -> int:
    """Run the benchmarks named (all where none is); 1 where one of them failed."""
    names = arguments or sorted(path.stem for path in HERE.glob("bench_*.py"))
    results: dict[str, Any] = {}
    for name in names:
        began = time.monotonic()
        say(f"{name} …")
        results[name] = run(name)
        say(f"{name} took {time.monotonic() - began:.0f} s")
    say("")
    for line in table(results):
        say(line)
    where = Path(os.environ.get("BREAKWATER_VAR", ROOT / "var")) / "bench.json"
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_text(json.dumps({**conditions(), "results": results}, indent=2) + "\n")
    say(f"\nwritten to {where}")
    return int(any(found is None for found in results.values()))


def run(name: str) -> dict[str, Any] | None:
    """One benchmark's answer; None where it failed, which its own output explains."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        done = subprocess.run(
            [sys.executable, "-c", _CALL, f"{__package__}.{name}", str(answer)],
            cwd=ROOT,
            timeout=LIMIT_S,
            check=False,
        )
        if done.returncode != 0 or not answer.is_file():
            return None
        found: dict[str, Any] = json.loads(answer.read_text())
        return found


def conditions() -> dict[str, Any]:
    return {
        "taken_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def table(results: Mapping[str, Any]) -> list[str]:
    """Lines of benchmark, measure, value; measures left, values right."""
    rows = [
        (name.removeprefix("bench_"), measure, value)
        for name, found in results.items()
        for measure, value in (flat(found) if found is not None else [("failed", "")])
    ]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    return [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows]


def flat(found: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for measure, value in found.items():
        if measure == RAW:
            continue
        name = f"{prefix}{measure}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{name}.")
        else:
            yield name, shown(value)


def shown(value: object) -> str:
    """Numbers of four digits and more with separators, small ones with four significant digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
