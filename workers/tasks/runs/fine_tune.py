"""Fine-tunes: data and base in, snapshots and checkpoints on the way, a model version out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tenants.kernel.version import code_version
from workers.assets.card import Card
from workers.assets.models import ModelVersion
from workers.assets.selectors import base_model_get
from workers.assets.services import model_version_create, version_seal
from workers.assets.storage import StoredObject
from workers.engine.specs import NF4, NF4_NOTE
from workers.jobs.models import Job
from workers.jobs.outcomes import Made, checkpoint_commit
from workers.jobs.workers import slot_memory
from workers.tasks.channel import Frame
from workers.tasks.child import NO_NETWORK
from workers.tasks.runs.models import file_open, model_open, snapshot_open
from workers.tasks.runs.run import Context, training_numerics, used_tokens


class FineTuneRun:
    """A job of kind `fine_tune`: it may resume, and each epoch's end is a version of its own."""

    entry = "workers.tasks.engine_child"
    network = NO_NETWORK

    def __init__(self, context: Context) -> None:
        self.context = context
        self.spec: Mapping[str, Any] = context.claim.spec

    def prepare(self) -> Mapping[str, Any]:
        context, spec = self.context, self.spec
        model = model_open(context, base_id=spec["base_id"], version_id=spec.get("parent_id"))
        validation = spec.get("validation_file_id")
        memory = context.persist(lambda: slot_memory(context.claim.worker_id))
        work = context.scratch / "work"
        work.mkdir()
        return {
            "work": "fine_tune",
            "key": context.job_id,
            "spec": spec["settings"],
            "base": model.base,
            "adapter": model.adapter,
            "data": file_open(context, spec["training_file_id"], "training_file"),
            "validation": file_open(context, validation, "validation_file") if validation else None,
            "resume": snapshot_open(context),
            "scratch": str(work),
            "numerics": training_numerics(spec["settings"], memory),
        }

    def on_beat(self, frame: Frame) -> None:
        pass

    def on_frame(self, frame: Frame) -> Mapping[str, Any] | None:
        if frame["type"] == "used":
            self.context.usage.append(
                used_tokens(
                    self.context,
                    frame,
                    meter="tokens.trained",
                    model=self.spec["model"],
                    base=self.spec["base_id"],
                )
            )
            return None
        if frame["type"] == "checkpoint":
            return self._checkpoint(frame)
        raise ValueError(f"a fine-tune's child sent {frame['type']!r}")

    def _checkpoint(self, frame: Frame) -> Mapping[str, Any]:
        folder, step, metrics = Path(frame["folder"]), int(frame["step"]), dict(frame["metrics"])
        stored = self._seal(folder, metrics)

        def make(job: Job) -> tuple[str, str]:
            version = self._version(job, folder, stored, metrics, step=step)
            return version.id, version.name

        lease = self.context.claim.lease
        self.context.persist(
            lambda: checkpoint_commit(lease=lease, step=step, metrics=metrics, make=make)
        )
        return {"sha256": stored.sha256}

    def finish(self, frame: Frame) -> Callable[[Job], Made]:
        folder, metrics = Path(frame["artifact"]), dict(frame["metrics"])
        stored = self._seal(folder, metrics)

        def make(job: Job) -> Made:
            version = self._version(job, folder, stored, metrics)
            result = {
                "model_name": version.name,
                "model_version_id": version.id,
                "trained_tokens": int(metrics.get("trained_tokens", 0)),
                "metrics": metrics,
            }
            return Made(result, version.id)

        return make

    def close(self) -> None:
        pass

    @property
    def _kind(self) -> str:
        lora = self.spec["settings"]["method"] == "lora"
        return ModelVersion.Kind.ADAPTER if lora else ModelVersion.Kind.FULL

    def _seal(self, folder: Path, metrics: Mapping[str, float]) -> StoredObject:
        card = Card(
            name=self.spec.get("suffix") or self.context.job_id,
            kind=self._kind,
            base_id=self.spec["base_id"],
            licence=self._licence(),
            code_version=code_version(),
            job_id=self.context.job_id,
            dataset_id=self.spec["dataset_id"],
            parent=self.spec["model"] if self.spec.get("parent_id") else "",
            spec=self.spec["settings"],
            metrics=metrics,
            notes=[NF4_NOTE] if self.spec["settings"].get("quantise_base") == NF4 else [],
        )
        return version_seal(
            tenant_id=self.context.tenant_id,
            data_key=self.context.data_key,
            folder=folder,
            card=card,
        )

    def _licence(self) -> str:
        return self.context.in_scope(lambda: base_model_get(self.spec["base_id"]).licence)

    def _version(
        self,
        job: Job,
        folder: Path,
        stored: StoredObject,
        metrics: Mapping[str, float],
        *,
        step: int | None = None,
    ) -> ModelVersion:
        return model_version_create(
            tenant_id=job.tenant_id,
            base_id=self.spec["base_id"],
            kind=self._kind,
            folder=folder,
            suffix=self.spec.get("suffix") or "",
            job_id=job.id,
            parent_id=self.spec.get("parent_id"),
            dataset_id=self.spec["dataset_id"],
            spec=self.spec["settings"],
            metrics=metrics,
            stored=stored,
            is_checkpoint=step is not None,
            step=step,
        )
