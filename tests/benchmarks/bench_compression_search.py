"""The search against a frozen grid of 60 settings, each measured in full.

    python -m tests.benchmarks bench_compression_search

`compression/grid.json` holds the settings: 10 ratios × 3 scorers × 2 formats, with the same short
recovery. The grid's best is the least latency, which is the least price, of all whose perplexity on
validation rows grows by no more than the bound. The search has the same candidates, bound and rows,
and all of its CPU time counts, proxies and the dense model's own measuring included. Both choices
are then checked on test rows. Target: a price within 2 % of the grid's at ≤ 0.3 × its CPU time.

A chosen setting's latency is the grid's, for both sides alike.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers.utils.logging import set_verbosity_error

from tests.benchmarks.compression.notes import Notes
from tests.benchmarks.compression.subject import Subject, draw
from workers.engine.compression.candidates import Candidate, candidates_of
from workers.engine.compression.report import report_read
from workers.engine.compression.run import Compression
from workers.engine.compression.search import Search
from workers.engine.compression.specs import CompressSpec, RecoverSpec, TargetSpec
from workers.engine.models import model_load

GRID = Path(__file__).parent / "compression" / "grid.json"
RECOVERY = RecoverSpec(tokens=3_000, batch_size=4, labels=1.0, learning_rate=2e-3)
WITHIN, COST = 0.02, 0.3


@dataclass(frozen=True)
class Measured:
    """Shares of the dense model's figures, and the CPU seconds that finding them took."""

    latency: float
    loss: float  # growth of perplexity on the validation rows
    test_loss: float
    seconds: float


def main() -> dict[str, Any]:
    """Both choices, and what they took."""
    set_verbosity_error()  # type: ignore[no-untyped-call]
    notes = Notes(__file__)
    target = TargetSpec.from_dict(json.loads(GRID.read_text()))
    spec = CompressSpec(target=target, recover=RECOVERY, calibration_examples=32, max_length=256)
    with draw(spec, 0) as subject:
        chosen, seconds = notes.note("search", searched, subject, target)
        grid = measured(subject, target, notes)
    kept = {name: m for name, m in grid.items() if m.loss <= target.quality_loss}
    best = min(kept, key=lambda name: kept[name].latency)
    cost = sum(m.seconds for m in grid.values())
    return {
        "settings": len(grid),
        "the grid's best": best,
        "the search's choice": chosen,
        "price, search / grid": grid[chosen].latency / grid[best].latency,
        "CPU time, search / grid": seconds / cost,
        "CPU seconds": {"search": seconds, "grid": cost},
        "growth of perplexity on validation rows": {
            "grid": grid[best].loss,
            "search": grid[chosen].loss,
        },
        "growth of perplexity on test rows": {
            "grid": grid[best].test_loss,
            "search": grid[chosen].test_loss,
        },
        "runs": {name: asdict(m) for name, m in grid.items()},
    }


def searched(subject: Subject, target: TargetSpec) -> tuple[str, float]:
    """The setting that the search recommends, and its CPU seconds."""
    bench = subject.bench
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "artifact"
        Search(bench, target, folder).run()
        seconds = time.process_time() - begin
        found = report_read(folder)["search"]
    return name_of(found["recommended"]), seconds


def measured(subject: Subject, target: TargetSpec, notes: Notes) -> dict[str, Measured]:
    """Every setting of the grid."""
    bench = subject.bench
    bench.metrics = {f"dense_{k}": v for k, v in bench.score(bench.dense).items()}
    dense = subject.perplexity(subject.dense)
    found = {}
    for candidate in candidates_of(target):
        name = name_of(candidate.to_dict())
        found[name] = Measured(**notes.note(name, full, subject, candidate, dense))
    return found


def full(subject: Subject, candidate: Candidate, dense: float) -> dict[str, float]:
    """A setting as `Measured`."""
    bench = subject.bench
    begin = time.process_time()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "artifact"
        spec = candidate.spec(bench.spec, heads=True)
        job = Compression(bench, spec, folder, takes_snapshots=False)
        metrics = job.finish(job.cut_and_recover())
        seconds = time.process_time() - begin
        test_loss = subject.perplexity(model_load(folder)) / dense - 1
    return asdict(
        Measured(
            latency=metrics["latency_ms"] / metrics["dense_latency_ms"],
            loss=metrics["perplexity"] / metrics["dense_perplexity"] - 1,
            test_loss=test_loss,
            seconds=seconds,
        )
    )


def name_of(candidate: Mapping[str, Any]) -> str:
    return f"{candidate['ratio']:.0%} {candidate['scorer']}, {candidate['format']}"
