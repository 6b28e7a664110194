"""Compressions: a model and data in, snapshots on the way, a smaller model version out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tenants.kernel.version import code_version
from workers.assets.card import Card
from workers.assets.models import ModelVersion
from workers.assets.selectors import base_model_get
from workers.assets.services import model_version_create, version_seal
from workers.engine.compression.report import notes_of, report_read
from workers.engine.compression.specs import FORMATS
from workers.engine.protocol import MEASURED, RECOVERED
from workers.jobs.models import Job
from workers.jobs.outcomes import Made
from workers.tasks.channel import Frame
from workers.tasks.child import NO_NETWORK
from workers.tasks.runs.carried import carried_create, carried_seal
from workers.tasks.runs.models import adapter_open, file_open, model_open, snapshot_open
from workers.tasks.runs.run import Context, numerics, used_tokens

TOLD_APART = ("metrics", "adapter_errors")
METERS = {MEASURED: "tokens.evaluated", RECOVERED: "tokens.trained"}


class CompressRun:
    """A job of kind `compress`: it may resume, and its result is a version with its report."""

    entry = "workers.tasks.engine_child"
    network = NO_NETWORK

    def __init__(self, context: Context) -> None:
        self.context = context
        self.spec: Mapping[str, Any] = context.claim.spec

    def prepare(self) -> Mapping[str, Any]:
        context, spec = self.context, self.spec
        model = model_open(context, base_id=spec["base_id"], version_id=spec.get("version_id"))
        validation = spec.get("validation_file_id")
        work = context.scratch / "work"
        work.mkdir()
        return {
            "work": "compress",
            "key": context.job_id,
            "spec": spec["settings"],
            "base": model.base,
            "adapter": model.adapter,
            "adapters": [adapter_open(context, each) for each in spec.get("adapters", ())],
            "data": file_open(context, spec["file_id"], "file"),
            "validation": file_open(context, validation, "validation_file") if validation else None,
            "resume": snapshot_open(context),
            "scratch": str(work),
            "numerics": numerics(),
        }

    def on_beat(self, frame: Frame) -> None:
        pass

    def on_frame(self, frame: Frame) -> Mapping[str, Any] | None:
        if frame["type"] != "used":
            raise ValueError(f"a compression's child sent {frame['type']!r}")
        _, _, part = str(frame["key"]).rpartition(":")
        self.context.usage.append(
            used_tokens(
                self.context,
                frame,
                meter=METERS[part],
                model=self.spec["model"],
                base=self.spec["base_id"],
            )
        )
        return None

    def finish(self, frame: Frame) -> Callable[[Job], Made]:
        folder, metrics = Path(frame["artifact"]), dict(frame["metrics"])
        report = report_read(folder)
        kind, made = _kind(report["settings"]), dict(report["settings"])
        if self.spec.get("tabular"):
            made["tabular"] = self.spec["tabular"]  # by which its tables are read
        carried = carried_seal(self.context, folder, report)
        licence = self.context.in_scope(lambda: base_model_get(self.spec["base_id"]).licence)
        card = Card(
            name=self.spec.get("suffix") or self.context.job_id,
            kind=kind,
            base_id=self.spec["base_id"],
            licence=licence,
            code_version=code_version(),
            job_id=self.context.job_id,
            dataset_id=self.spec["dataset_id"],
            parent=self.spec["model"],
            spec=made,
            metrics=metrics,
            notes=[*_weights(made), *notes_of(report)],
        )
        stored = version_seal(
            tenant_id=self.context.tenant_id,
            data_key=self.context.data_key,
            folder=folder,
            card=card,
        )

        def make(job: Job) -> Made:
            version = model_version_create(
                tenant_id=job.tenant_id,
                base_id=self.spec["base_id"],
                kind=kind,
                folder=folder,
                suffix=self.spec.get("suffix") or "",
                job_id=job.id,
                parent_id=self.spec.get("version_id"),
                dataset_id=self.spec["dataset_id"],
                spec=made,
                metrics=metrics,
                stored=stored,
            )
            result = {
                "model_name": version.name,
                "model_version_id": version.id,
                "metrics": metrics,
                "report": {k: v for k, v in report.items() if k not in TOLD_APART},
                "adapters": carried_create(job, version, carried),
            }
            return Made(result, version.id)

        return make

    def close(self) -> None:
        pass


def _kind(made: Mapping[str, Any]) -> str:
    """Rounded weights decide how a version loads, so they name it; a cut model is a plain one."""
    return ModelVersion.Kind.PRUNED if made["quantise"] == "none" else ModelVersion.Kind.QUANTISED


def _weights(made: Mapping[str, Any]) -> list[str]:
    """How a quantised model's weights are kept, for its card."""
    kind = made["quantise"]
    return [] if kind == "none" else [f"Quantised as {kind}: {FORMATS[kind]}."]
