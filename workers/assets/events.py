"""Facts about files, datasets and models."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tenants.kernel.events import Event


@dataclass(frozen=True)
class FileCreated(Event, name="file.created", aggregate="file_id"):
    file_id: str
    bytes: int


@dataclass(frozen=True)
class FileDeleted(Event, name="file.deleted", aggregate="file_id"):
    file_id: str


@dataclass(frozen=True)
class FileExpirySet(Event, name="file.expiry_set", aggregate="file_id"):
    """When it ends by itself; None: it is kept."""

    file_id: str
    expires_at: datetime | None


@dataclass(frozen=True)
class DatasetAsked(Event, name="dataset.asked", aggregate="dataset_id"):
    """A file is too large to be read at once: a worker reads it."""

    dataset_id: str
    file_id: str


@dataclass(frozen=True)
class DatasetValidated(Event, name="dataset.validated", aggregate="dataset_id"):
    dataset_id: str
    file_id: str
    valid: bool


@dataclass(frozen=True)
class ModelVersionCreated(Event, name="model_version.created", aggregate="version_id"):
    version_id: str
    name: str
    job_id: str


@dataclass(frozen=True)
class ModelVersionDeleted(Event, name="model_version.deleted", aggregate="version_id"):
    """Deployments of it stop; until its bytes are purged it may be restored."""

    version_id: str
    name: str


@dataclass(frozen=True)
class ModelVersionRestored(Event, name="model_version.restored", aggregate="version_id"):
    version_id: str
    name: str
