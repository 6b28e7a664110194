"""The runner behind `make bench`: every benchmark in the table, a failed one not hidden."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from saas.runtime.layout import ROOT
from tests.benchmarks.__main__ import HERE, shown, table


def test_nested_measures_come_out_flat_and_a_failure_as_one() -> None:
    lines = table({"bench_a": {"rate": 12345.6, "fsync": {"p99_ms": 0.51234}}, "bench_b": None})

    assert [line.split() for line in lines] == [
        ["a", "rate", "12,346"],
        ["a", "fsync.p99_ms", "0.5123"],
        ["b", "failed"],
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999.5, "999.5"), (1e6, "1,000,000"), (True, "True"), ("x", "x")]
)
def test_values_read_well(value: object, text: str) -> None:
    assert shown(value) == text


def test_the_run_is_written_and_a_failure_is_its_exit_code(tmp_path: Path) -> None:
    broken = HERE / "bench_that_breaks.py"
    broken.write_text("def main():\n    raise RuntimeError('as planned')\n")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks", broken.stem],
            cwd=ROOT,
            env={"BREAKWATER_VAR": str(tmp_path), "PATH": "/usr/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        broken.unlink()

    assert done.returncode == 1
    assert "as planned" in done.stderr
    assert json.loads((tmp_path / "bench.json").read_text())["results"] == {broken.stem: None}
