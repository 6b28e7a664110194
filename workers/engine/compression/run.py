"""The one way through a compression: measure, prune, recover, mask or quantise, measure again.

A snapshot is taken once the model is cut, and then as the recovery goes on; what comes before is
done again after a crash, what comes after is quick.
"""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from workers.engine.compression.bench import Bench
from workers.engine.compression.calibration import Calibration, input_norms
from workers.engine.compression.carry import carried_errors, carried_save, carry, require_fit
from workers.engine.compression.distil import Recovery, updates_within
from workers.engine.compression.graph import Graph, Kind, graph_of
from workers.engine.compression.latency import paired_latency
from workers.engine.compression.limits import check_task
from workers.engine.compression.prune import Gradients, Pruned, prune
from workers.engine.compression.quantise.accelerated import accelerate
from workers.engine.compression.quantise.files import quantise_model
from workers.engine.compression.quantise.linear import layer_errors, numbers_of
from workers.engine.compression.report import ADAPTERS, format_notes, report_write, weights_bytes
from workers.engine.compression.rounds import round_specs
from workers.engine.compression.snapshots import Standing, snapshot_read, snapshot_write
from workers.engine.compression.specs import NO_GAIN, CompressSpec
from workers.engine.compression.unstructured import mask_model, mask_names, masks_save
from workers.engine.export.huggingface import folder_save
from workers.engine.folders import folder_digest
from workers.engine.methods.lora.adapter import adapter_load
from workers.engine.models import layer_count
from workers.engine.protocol import HUGGING_FACE_MODEL, RECOVERED, Handle, Outcome, Result

USED_EVERY = 10  # updates of the recovery


def _nothing() -> None:
    """There is no point in a snapshot here."""


@dataclass
class Compression:
    """One compression with fixed settings; `told` is where it stands, for its report."""

    bench: Bench
    spec: CompressSpec
    folder: Path
    takes_snapshots: bool = True
    calibration: Calibration | None = None  # other than the bench's
    gradients: Callable[[], Gradients] | None = None  # the dense model's, where they are kept
    told: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rounds = round_specs(self.spec.prune)
        self.masks: dict[str, Tensor] = {}
        self.graph: Graph | None = graph_of(self.bench.dense) if self.rounds else None
        self.plan = updates_within(self.bench.data.lengths.tolist(), self.spec.recover)
        self.layers = self.graph.layers if self.graph else layer_count(self.bench.dense)
        check_task(self.spec)
        self.standing = Standing(layers=tuple(range(self.layers)))
        self.adapters = [adapter_load(handle.path) for handle in self.bench.work.adapters]
        for adapter in self.adapters:
            require_fit(self.bench.dense, adapter)

    @property
    def steps(self) -> int:
        """From the cut to the report, the dense model's own measuring left out."""
        cuts = sum(self._layers_left(number) for number in range(len(self.rounds)))
        return cuts + len(self.plan) + self.bench.passes + 1

    def _layers_left(self, number: int) -> int:
        return self.layers - (self.spec.prune.layers if number else 0)

    def run(self) -> Result:
        """The whole of it, as a job."""
        bench = self.bench
        bench.of = bench.passes + self.steps
        student: nn.Module | None = None
        if bench.work.resume:
            resume = bench.work.resume.path
            student, self.standing = snapshot_read(resume, bench)
            self.adapters = [
                adapter_load(resume / ADAPTERS / str(n)) for n in range(len(self.adapters))
            ]
            bench.step, bench.metrics = self.standing.step, dict(self.standing.metrics)
            bench.say(f"Resumed after step {bench.step}.", {"step": bench.step})
        else:
            self.require_data()
            bench.metrics = {f"dense_{k}": v for k, v in bench.score(bench.dense).items()}
        metrics = self.finish(self.cut_and_recover(student))
        artifact = Handle(self.folder, HUGGING_FACE_MODEL, folder_digest(self.folder))
        return Result(bench.work.key, Outcome.SUCCEEDED, artifact, metrics)

    def require_data(self) -> None:
        """Refuse to solve for more than the data can tell. Raises DataError."""
        spec = self.spec.prune
        if self.graph and spec.reconstruct:
            ratios = {Kind.MLP: spec.mlp, Kind.HEADS: spec.heads}
            groups = [g for g in self.graph.groups if ratios.get(g.kind)]
            self.bench.require_rows(max((g.units * g.block for g in groups), default=0))

    def cut_and_recover(self, student: nn.Module | None = None) -> nn.Module:
        """Round by round; each ends with its share of the recovery. `student` resumes a round."""
        rounds = max(len(self.rounds), 1)
        resumed = student is not None
        student = student if student is not None else copy.deepcopy(self.bench.dense)
        for number in range(self.standing.round, rounds):
            self.standing.round = number
            if not resumed and self.rounds:
                student = self._prune(student, number)
            until = len(self.plan) * (number + 1) // rounds
            if self.standing.update < until:
                self._recover(student, until, fresh=not resumed)
            resumed = False
        return student

    def _prune(self, student: nn.Module, number: int) -> nn.Module:
        bench, start = self.bench, self.bench.step
        graph, spec = graph_of(student), self.rounds[number]
        calibration = self.calibration or bench.calibration
        known = self.gradients if number == 0 and spec.scorer == "taylor" else None
        made = prune(
            student,
            graph,
            spec,
            calibration.samples,
            tick=lambda: bench.advance({}),
            gradients=known() if known else None,
        )
        while bench.step < start + graph.layers:
            bench.advance({})  # layers that are gone took no time
        bench.calibrated(start, calibration)
        self._carry(student, graph, made)
        self.standing.layers = tuple(self.standing.layers[i] for i in made.kept.layers)
        kept = {name: len(units) for name, units in made.kept.units.items()}
        self.told |= {"kept": kept, "layers": list(self.standing.layers)}
        bench.say("The model is cut to shape.", {"round": number + 1, **kept})
        return made.model

    def _carry(self, dense: nn.Module, graph: Graph, made: Pruned) -> None:
        """Take the adapters along, and say what is lost of each."""
        for number, adapter in enumerate(self.adapters):
            carried = carry(dense, adapter, graph, made)
            samples = self.bench.samples
            errors = carried_errors(dense, adapter, made, carried, graph, samples)
            self.adapters[number] = carried.adapter
            self.standing.adapter_errors[str(number)] = sum(errors.values()) / max(len(errors), 1)

    def _save_adapters(self, folder: Path) -> None:
        sources = [handle.path for handle in self.bench.work.adapters]
        for number, (source, adapter) in enumerate(zip(sources, self.adapters, strict=True)):
            carried_save(folder / ADAPTERS / str(number), source, adapter)

    def _recover(self, student: nn.Module, until: int, *, fresh: bool) -> None:
        """Train up to update `until` of the plan."""
        bench, standing = self.bench, self.standing
        recovery = Recovery(
            student,
            bench.dense,
            standing.layers,
            bench.data,
            self.spec.recover,
            bench.device,
            bench.subject,
        )
        standing.load_into(recovery)
        pause: Callable[[], None] = lambda: self._snapshot(student, recovery)  # noqa: E731
        bench.on_pause = pause if self.takes_snapshots else bench.on_pause
        if fresh:
            standing.metered = bench.step
            if self.takes_snapshots:
                pause()  # what was cut need not be cut again
        self._updates(recovery, until)
        bench.on_pause = _nothing if self.takes_snapshots else bench.on_pause
        student.requires_grad_(requires_grad=False)
        standing.optimiser = None

    def _updates(self, recovery: Recovery, until: int) -> None:
        bench, standing = self.bench, self.standing
        begin, every = time.perf_counter(), self.spec.snapshot_every_steps
        while standing.update < until:
            step = recovery.update(self.plan[standing.update], standing.update, len(self.plan))
            standing.update += 1
            standing.tokens += step.tokens
            if standing.update % USED_EVERY == 0 or standing.update == until:
                self._meter(bench.step + 1, time.perf_counter() - begin)
                begin = time.perf_counter()
            due = self.takes_snapshots and bool(every) and standing.update % every == 0
            bench.advance({"loss": step.loss}, snapshot_due=due)

    def _meter(self, stop: int, seconds: float = 0.0) -> None:
        standing = self.standing
        if standing.tokens:
            self.bench.used(RECOVERED, (standing.metered, stop), standing.tokens, seconds)
        standing.metered, standing.tokens = stop, 0

    def _snapshot(self, student: nn.Module, recovery: Recovery) -> None:
        bench, standing = self.bench, self.standing
        self._meter(bench.step)
        standing.step, standing.metrics = bench.step, dict(bench.metrics)
        folder = bench.work.scratch / "snapshots" / f"step-{bench.step:08d}"
        snapshot_write(folder, student, recovery, standing, bench, self._save_adapters)
        bench.progress.snapshot(bench.work.key, bench.step, folder)
        shutil.rmtree(folder, ignore_errors=True)

    def finish(self, student: nn.Module) -> dict[str, float]:
        """Mask or quantise, write the folder, measure what it is when loaded, and report."""
        bench = self.bench
        self._mask(student)
        self._quantise(student)
        folder_save(self.folder, student, bench.work.base.path)
        self._accelerate(student)
        after = bench.score(student)
        dense_s, seconds = paired_latency(bench.dense, student, bench.probe)
        if self.masks:
            masks_save(self.folder, self.masks)
        self._save_adapters(self.folder)
        if self.adapters:
            self.told["adapter_errors"] = self.standing.adapter_errors
        metrics = {
            **{k: v for k, v in bench.metrics.items() if k.startswith("dense_")},
            **after,
            "dense_latency_ms": dense_s * 1000,
            "latency_ms": seconds * 1000,
            "latency_tokens": float(bench.probe.tokens),
            "dense_parameters": float(numbers_of(bench.dense)),
            "parameters": float(numbers_of(student)),
            "dense_bytes": weights_bytes(bench.work.base.path),
            "bytes": weights_bytes(self.folder),
        }
        bench.advance(metrics)
        told = {"metrics": metrics, "settings": self.spec.to_dict(), **self.told}
        report_write(self.folder, told)
        return metrics

    def _mask(self, student: nn.Module) -> None:
        spec = self.spec.mask
        if spec.is_nothing:
            return
        wanda = spec.scorer == "wanda"
        norms = input_norms(student, mask_names(student), self.bench.samples) if wanda else None
        masks = mask_model(student, spec, norms)
        zeros = sum(int((~mask).sum()) for mask in masks.values())
        self.masks = masks
        self.told["masked_weights"] = zeros
        self.bench.say(NO_GAIN, {"masked_weights": zeros}, level="warn")

    def _quantise(self, student: nn.Module) -> None:
        """As the spec says, noting each layer's error."""
        if self.spec.quantise == "none":
            return
        norms = input_norms(student, mask_names(student), self.bench.samples)
        self.told["quantisation_errors"] = layer_errors(student, norms, self.spec.quantise)
        quantise_model(student, self.spec.quantise)

    def _accelerate(self, student: nn.Module) -> None:
        """As a replica on this device would, saying which layers cannot be."""
        if self.spec.quantise == "none":
            return
        self.told["device"] = self.bench.device
        kept = accelerate(student)
        if kept:
            self.told["not_accelerated"] = kept
        for note in format_notes({"settings": self.spec.to_dict(), **self.told}):
            self.bench.say(note, {"format": self.spec.quantise}, level="warn")
