"""From a target to settings: every candidate by a cheap proxy, the best few measured in full.

The proxy is the model cut and solved again, without recovery, scored on a few held-out rows. What
is known is in every snapshot, so a search that was killed goes on after the last candidate.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from workers.engine.checks import SpecError
from workers.engine.compression.bench import Bench
from workers.engine.compression.calibration import Calibration
from workers.engine.compression.candidates import (
    Candidate,
    candidates_of,
    front,
    next_finalist,
    recommend,
)
from workers.engine.compression.graph import Kind, UnsupportedError, graph_of
from workers.engine.compression.latency import paired_latency
from workers.engine.compression.part import Part
from workers.engine.compression.prune import Gradients, gradients_of
from workers.engine.compression.quality import quality_lost, quality_of
from workers.engine.compression.quantise.accelerated import accelerate
from workers.engine.compression.quantise.files import quantise_model
from workers.engine.compression.quantise.linear import RoundedLinear
from workers.engine.compression.report import report_read, report_write
from workers.engine.compression.run import Compression
from workers.engine.compression.specs import CompressSpec, TargetSpec
from workers.engine.compression.structured import Kept, cut_config, kept_count
from workers.engine.errors import SnapshotError
from workers.engine.folders import atomic_folder, folder_digest, folder_verify
from workers.engine.protocol import HUGGING_FACE_MODEL, MEASURED, Handle, Outcome, Result
from workers.engine.tasks.scores import Score

STATE = "search.json"


@dataclass
class Search:
    """One search. `proxies` and `measured` are what is known so far."""

    bench: Bench
    target: TargetSpec
    folder: Path
    proxies: list[Candidate] = field(default_factory=list)
    measured: list[Candidate] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.graph = graph_of(self.bench.dense)
        self.heads = bool(self.graph.of(Kind.HEADS)) and not self.graph.heads_follow_width
        self.made = self.bench.work.scratch / "candidates"
        self.candidates = [c for c in candidates_of(self.target) if self._leaves_something(c)]
        if not self.candidates:
            raise SpecError("target.ratios", "there is no candidate; give ratios below 1.")

    def run(self) -> Result:
        """Search, and hand over the recommended model."""
        bench = self.bench
        chosen = min(self.target.finalists, len(self.candidates))
        each = Compression(bench, self.candidates[-1].spec(bench.spec, heads=self.heads), self.made)
        # proxies: a cut (once per ratio and scorer) and one step each; finalists: all of it
        bench.of = bench.passes + len(self.candidates) + chosen * (1 + each.steps)
        bench.of += len(self._cuts()) * self.graph.layers
        if bench.work.resume:
            self._resume(bench.work.resume.path)
        else:
            each.require_data()
            bench.metrics = {f"dense_{k}": v for k, v in bench.score(bench.dense).items()}
        self._try_all()
        self._measure_the_best()
        return self._result()

    def _leaves_something(self, candidate: Candidate) -> bool:
        """Whether every layer stays with this ratio, in a layout that there is."""
        ratios = {Kind.MLP: candidate.ratio, Kind.HEADS: candidate.ratio * self.heads}
        try:
            units = {
                group.name: tuple(range(kept_count(group, ratios[group.kind])))
                for group in self.graph.groups
                if group.kind in ratios
            }
            if self.graph.blocks:
                kept = Kept(units, tuple(range(self.graph.layers)))
                cut_config(self.bench.dense, self.graph, kept)
        except (SpecError, UnsupportedError):
            return False
        return True

    def _cuts(self) -> list[tuple[float, str]]:
        return list(dict.fromkeys((c.ratio, c.scorer) for c in self.candidates if c.ratio))

    def _try_all(self) -> None:
        known = {c.key for c in self.proxies}
        few = self.bench.held_out.first(self.bench.subject.proxy_rows)
        dense = self._metrics(self.bench.dense, few)
        for ratio, scorer in dict.fromkeys((c.ratio, c.scorer) for c in self.candidates):
            same = [c for c in self.candidates if (c.ratio, c.scorer) == (ratio, scorer)]
            left = [c for c in same if c.key not in known]
            if not left:
                continue
            model = self._cut(left[0]) if ratio else self.bench.dense
            for candidate in left:
                self._try(candidate, model, few, dense)
            self._snapshot()

    def _cut(self, candidate: Candidate) -> nn.Module:
        """The candidate as it is before recovery and quantisation."""
        spec = replace(candidate, format="none").spec(self.bench.spec, heads=self.heads)
        spec = replace(spec, recover=replace(spec.recover, tokens=0))
        return self._compression(spec, "current", self._few).cut_and_recover()

    def _compression(
        self, spec: CompressSpec, name: str, calibration: Calibration | None = None
    ) -> Compression:
        return Compression(
            self.bench,
            spec,
            self.made / name,
            takes_snapshots=False,
            calibration=calibration,
            gradients=lambda: self._gradients,
        )

    @cached_property
    def _few(self) -> Calibration:
        return self.bench.calibrate_by(self.bench.spec.proxy_calibration_rows)

    @cached_property
    def _gradients(self) -> Gradients:
        """The dense model's, which every cut by them takes."""
        return gradients_of(self.bench.dense, self.graph, self.bench.samples)

    def _try(
        self, candidate: Candidate, model: nn.Module, few: Part, dense: Mapping[str, float]
    ) -> None:
        """Score a candidate by its proxy."""
        start = self.bench.step
        made = model
        if candidate.format != "none":
            made = copy.deepcopy(model)
            quantise_model(made, candidate.format)
        size = _weights(made) / _weights(self.bench.dense)
        accelerate(made)
        quality = quality_of(dense)
        lost = quality.loss(dense[quality.metric], self._metrics(made, few)[quality.metric])
        found = replace(
            candidate,
            latency=self._latency(candidate, made),
            bytes=size,
            quality_loss=lost,
        )
        self.proxies.append(found)
        self.bench.advance({"candidates": float(len(self.proxies))})
        self.bench.used(MEASURED, (start, self.bench.step), int(few.lengths.sum()))
        self.bench.say(_line(found, quality.metric), found.to_dict())

    def _latency(self, candidate: Candidate, made: nn.Module) -> float:
        """Of the dense model's; whichever channels the scorers choose, the shapes are the same."""
        shape = candidate.ratio, candidate.format
        for known in self.proxies:
            if (known.ratio, known.format) == shape:
                return known.latency
        before, after = paired_latency(self.bench.dense, made, self.bench.probe, repeats=2)
        return after / before

    def _metrics(self, model: nn.Module, rows: Part) -> dict[str, float]:
        total = sum(self.bench.scores(model, rows), start=Score())
        return self.bench.task.metrics(total)

    def _measure_the_best(self) -> None:
        while (candidate := next_finalist(self.proxies, self.measured, self.target)) is not None:
            spec = candidate.spec(self.bench.spec, heads=self.heads)
            compression = self._compression(spec, _name(candidate))
            metrics = compression.finish(compression.cut_and_recover())
            found = replace(
                candidate,
                latency=metrics["latency_ms"] / metrics["dense_latency_ms"],
                bytes=metrics["bytes"] / metrics["dense_bytes"],
                quality_loss=quality_lost(metrics),
                is_measured=True,
            )
            self.measured.append(found)
            self.bench.advance({"finalists": float(len(self.measured))})
            self.bench.say(_line(found, quality_of(metrics).metric), found.to_dict())
            self._snapshot()

    def _result(self) -> Result:
        """The recommended candidate's folder, with all candidates in its report."""
        bench = self.bench
        choice = recommend(self.measured, self.target)
        shutil.move(self.made / _name(choice.candidate), self.folder)
        if choice.limit:
            bench.say(f"The target is not reached. {choice.limit}", {}, level="warn")
        found = report_read(self.folder)
        search = {
            "target": self.target.to_dict(),
            "metric": quality_of(found["metrics"]).metric,
            "reached": choice.reached,
            "limit": choice.limit,
            "recommended": choice.candidate.to_dict(),
            "candidates": [c.to_dict() for c in self.proxies],
            "measured": [c.to_dict() for c in self.measured],
            "front": [c.to_dict() for c in front(self.measured, self.target)],
        }
        report_write(self.folder, {**found, "search": search})
        metrics = {**found["metrics"], "target_reached": float(choice.reached)}
        artifact = Handle(self.folder, HUGGING_FACE_MODEL, folder_digest(self.folder))
        return Result(bench.work.key, Outcome.SUCCEEDED, artifact, metrics)

    def _snapshot(self) -> None:
        bench = self.bench
        folder = bench.work.scratch / "snapshots" / f"step-{bench.step:08d}"
        with atomic_folder(folder) as temporary:
            for each in self.measured:
                shutil.copytree(self.made / _name(each), temporary / _name(each))
            content = {
                "step": bench.step,
                "metrics": {k: v for k, v in bench.metrics.items() if k.startswith("dense_")},
                "proxies": _dicts(self.proxies),
                "measured": _dicts(self.measured),
                "origin": self._origin(),
            }
            (temporary / STATE).write_text(json.dumps(content, sort_keys=True))
        bench.progress.snapshot(bench.work.key, bench.step, folder)
        shutil.rmtree(folder, ignore_errors=True)

    def _resume(self, folder: Path) -> None:
        folder_verify(folder)
        content = json.loads((folder / STATE).read_text())
        if content["origin"] != self._origin():
            raise SnapshotError(f"{folder.name} is of another model, data or settings")
        self.proxies = [Candidate(**c) for c in content["proxies"]]
        self.measured = [Candidate(**c) for c in content["measured"]]
        self.bench.step, self.bench.metrics = content["step"], content["metrics"]
        for each in self.measured:
            shutil.copytree(folder / _name(each), self.made / _name(each))
        self.bench.say(
            f"Resumed after {len(self.proxies)} candidates and {len(self.measured)} finalists.", {}
        )

    def _origin(self) -> list[Any]:
        work = self.bench.work
        return [work.base.sha256, work.data.sha256, json.loads(json.dumps(work.spec.to_dict()))]


def _dicts(candidates: Iterable[Candidate]) -> list[dict[str, Any]]:
    return [candidate.to_dict() for candidate in candidates]


def _name(candidate: Candidate) -> str:
    return f"{candidate.ratio:g}-{candidate.scorer}-{candidate.format}"


def _line(found: Candidate, metric: str) -> str:
    how = "measured" if found.is_measured else "by proxy"
    return (
        f"{found.ratio:.0%} by {found.scorer}, {found.format}: {found.latency:.2f} of the latency, "
        f"{found.bytes:.2f} of the bytes, {metric} worse by {found.quality_loss:.1%} ({how})."
    )


def _weights(model: nn.Module) -> int:
    """Bytes of the weights in memory, tied ones counted once."""
    total = sum(p.numel() * p.element_size() for p in model.parameters())
    for module in model.modules():
        if isinstance(module, RoundedLinear):
            total += sum(b.numel() * b.element_size() for b in module.buffers())
    return total
