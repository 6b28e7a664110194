"""Models, data and snapshots in an attempt's scratch folder, as handles for the child."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tenants.kernel.errors import NotFound
from workers.assets.materialise import file_to_path, version_to_folder
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.selectors import base_model_get, file_get, model_version_get
from workers.assets.storage import folder_read
from workers.engine.protocol import HUGGING_FACE_MODEL, JSONL, PEFT_ADAPTER, SNAPSHOT
from workers.jobs.selectors import snapshot_get
from workers.tasks.runs.run import CannotRun, Context, handle


@dataclass(frozen=True)
class Opened:
    """A base (or a full version in its place), and the adapter to start from, if any."""

    base: dict[str, str]
    adapter: dict[str, str] | None


def model_open(context: Context, *, base_id: str, version_id: str | None) -> Opened:
    """Open a model for the child. Catalogue bases are read where they lie. Raises CannotRun."""
    base, version = context.in_scope(lambda: _rows(base_id, version_id))
    plain = handle(base.path, HUGGING_FACE_MODEL, base.sha256)
    if version is None:
        return Opened(plain, None)
    folder = context.scratch / "model"
    version_to_folder(version=version, data_key=context.data_key, into=folder)
    if version.over is not None:
        below = context.scratch / "below"
        version_to_folder(version=version.over, data_key=context.data_key, into=below)
        plain = handle(below, HUGGING_FACE_MODEL, version.over.sha256)
    if version.kind == ModelVersion.Kind.ADAPTER:
        return Opened(plain, handle(folder, PEFT_ADAPTER, version.sha256))
    return Opened(handle(folder, HUGGING_FACE_MODEL, version.sha256), None)


def file_open(context: Context, file_id: str, name: str) -> dict[str, str]:
    """Open a data file for the child. Raises CannotRun where it was deleted."""
    try:
        file = context.in_scope(lambda: file_get(file_id))
    except NotFound as error:
        raise CannotRun(error.message, code="file_deleted", param=name) from error
    path: Path = context.scratch / f"{name}.jsonl"
    file_to_path(file=file, data_key=context.data_key, path=path)
    return handle(path, JSONL, file.sha256)


def adapter_open(context: Context, version_id: str) -> dict[str, str]:
    """Open an adapter by itself for the child. Raises CannotRun where it was deleted."""
    try:
        version = context.in_scope(lambda: model_version_get(version_id))
    except NotFound as error:
        raise CannotRun(error.message, code="model_deleted", param="adapters") from error
    folder = context.scratch / version.id
    version_to_folder(version=version, data_key=context.data_key, into=folder)
    return handle(folder, PEFT_ADAPTER, version.sha256)


def snapshot_open(context: Context) -> dict[str, str] | None:
    """Open the snapshot that this attempt resumes from; None where it begins afresh."""
    snapshot_id = context.claim.resume_from
    if not snapshot_id:
        return None
    snapshot = context.in_scope(lambda: snapshot_get(snapshot_id))
    folder = context.scratch / "resume"
    folder_read(
        tenant_id=context.tenant_id,
        key=snapshot.storage_key,
        into=folder,
        data_key=context.data_key,
    )
    return handle(folder, SNAPSHOT, snapshot.sha256)


def _rows(base_id: str, version_id: str | None) -> tuple[BaseModel, ModelVersion | None]:
    try:
        version = model_version_get(version_id) if version_id else None
    except NotFound as error:
        raise CannotRun(error.message, code="model_deleted", param="model") from error
    return base_model_get(base_id), version
