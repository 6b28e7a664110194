"""Reads of files, datasets and models, in the scope in force."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.db.models import QuerySet

from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.errors import BreakwaterError, NotFound
from workers.assets.models import BaseModel, Dataset, File, ModelVersion, Upload
from workers.assets.storage import object_read
from workers.engine.data.chat import ChatTemplate
from workers.engine.data.tokens import Tokenizer
from workers.engine.errors import ModelError
from workers.engine.specs import served_as


@dataclass(frozen=True)
class ResolvedModel:
    """What a name stands for: a base, or a tenant's version of it."""

    name: str
    base: BaseModel
    version: ModelVersion | None

    @property
    def kind(self) -> str:
        """What it does: a version what it was made for, a base what it is."""
        made_for: str = (self.version and self.version.spec.get("task")) or self.base.kind
        return served_as(made_for)


@dataclass(frozen=True)
class TextReader:
    """A base's tokenizer and chat template; torch-free."""

    tokenizer: Tokenizer
    template: ChatTemplate | None


def file_get(file_id: str, *, param: str = "file_id") -> File:
    """Return a file. Raises NotFound, also for a deleted one."""
    row = files_visible().filter(pk=file_id).first()
    if row is None:
        raise NotFound(f"no file {file_id!r}; it may have been deleted", param=param)
    return row


def files_visible() -> QuerySet[File]:
    """Files that are not deleted."""
    rows: QuerySet[File] = File.objects.filter(deleted_at__isnull=True)
    return rows


def file_chunks(file: File) -> Iterator[bytes]:
    """A file's plaintext, piece by piece; may be read on after the scope has closed."""
    data_key = tenant_data_key(file.tenant_id)
    return object_read(tenant_id=file.tenant_id, key=file.storage_key, data_key=data_key)


def upload_get(upload_id: str) -> Upload:
    """Return an upload. Raises NotFound."""
    row: Upload | None = Upload.objects.select_related("file").filter(pk=upload_id).first()
    if row is None:
        raise NotFound(f"no upload {upload_id!r}", param="upload_id")
    return row


def datasets_visible() -> QuerySet[Dataset]:
    """Every reading of the files in scope."""
    rows: QuerySet[Dataset] = Dataset.objects.select_related("file")
    return rows


def dataset_get(dataset_id: str) -> Dataset:
    """Return a dataset. Raises NotFound."""
    row: Dataset | None = datasets_visible().filter(pk=dataset_id).first()
    if row is None:
        raise NotFound(f"no dataset {dataset_id!r}", param="dataset_id")
    return row


def base_model_get(base_id: str) -> BaseModel:
    """Return a base of the catalogue. Raises NotFound ("model_not_found")."""
    row = BaseModel.objects.filter(pk=base_id).first()
    if row is None:
        raise NotFound(f"no base model {base_id!r}", param="model", code="model_not_found")
    return row


def model_resolve(name: str, *, param: str = "model") -> ResolvedModel:
    """What `name` stands for. Raises NotFound ("model_not_found"), also for a deleted version."""
    base = BaseModel.objects.filter(pk=name).first()
    if base is not None:
        return ResolvedModel(name=name, base=base, version=None)
    version = versions_visible().filter(name=name).first()
    if version is None:
        raise NotFound(
            f"the model {name!r} does not exist or is not yours; see GET /v1/models",
            param=param,
            code="model_not_found",
        )
    return ResolvedModel(name=name, base=version.base, version=version)


def models_visible() -> list[ResolvedModel]:
    """Every model that may be called in this scope: bases, then own versions, newest first."""
    bases = BaseModel.objects.order_by("id")
    versions = versions_visible().order_by("-id")
    return [ResolvedModel(base.id, base, None) for base in bases] + [
        ResolvedModel(version.name, version.base, version) for version in versions
    ]


def model_version_get(version_id: str) -> ModelVersion:
    """Return a version by its id. Raises NotFound, also for a deleted one."""
    row: ModelVersion | None = versions_visible().filter(pk=version_id).first()
    if row is None:
        raise NotFound(f"no model version {version_id!r}", param="version_id")
    return row


def model_lineage(version: ModelVersion) -> list[ModelVersion]:
    """The versions that this one came from, back to the first; deleted ones are told too."""
    found: list[ModelVersion] = []
    parent_id = version.parent_id
    while parent_id is not None:
        parent = ModelVersion.objects.select_related("base", "dataset").get(pk=parent_id)
        found.append(parent)
        parent_id = parent.parent_id
    return found


def version_archive_chunks(version: ModelVersion, data_key: bytes) -> Iterator[bytes]:
    """A version's folder (PEFT adapter or Hugging Face model) as a tar stream; needs no scope."""
    return object_read(tenant_id=version.tenant_id, key=version.storage_key, data_key=data_key)


def text_reader(base: BaseModel) -> TextReader:
    """A base's tokenizer and chat template, kept in memory.

    Raises BreakwaterError where they cannot be read any more.
    """
    try:
        return _text_reader(base.path, base.sha256)
    except ModelError as error:
        raise BreakwaterError(f"the folder of {base.id} cannot be read: {error}") from error


@lru_cache(maxsize=16)
def _text_reader(path: str, sha256: str) -> TextReader:
    del sha256  # part of the key: another content is another reader
    folder = Path(path)
    return TextReader(Tokenizer.load(folder), ChatTemplate.load(folder))


def versions_visible() -> QuerySet[ModelVersion]:
    """Versions that are not deleted."""
    rows: QuerySet[ModelVersion] = ModelVersion.objects.select_related("base", "parent", "over")
    return rows.filter(deleted_at__isnull=True)
