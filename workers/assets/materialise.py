"""Sealed assets as plaintext in an attempt's private folder; nothing here needs a scope."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from workers.assets.models import File, ModelVersion
from workers.assets.storage import ObjectMissing, folder_read, object_read
from workers.engine.folders import folder_digest


class ObjectAltered(ObjectMissing):
    """An object's plaintext is not what its row says."""

    code = "object_altered"


def file_to_path(*, file: File, data_key: bytes, path: Path) -> None:
    """Write a file's plaintext to the new file `path`, for its owner's eyes only.

    Raises ObjectMissing, ObjectAltered, DecryptionError; then nothing stays at `path`.
    """
    chunks = object_read(tenant_id=file.tenant_id, key=file.storage_key, data_key=data_key)
    digest = hashlib.sha256()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            for chunk in chunks:
                digest.update(chunk)
                out.write(chunk)
        _refuse_altered(digest.hexdigest(), file.sha256, file.id)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def version_to_folder(*, version: ModelVersion, data_key: bytes, into: Path) -> None:
    """Unpack a version (PEFT or Hugging Face layout) into the new folder `into`, and verify it.

    Raises ObjectMissing, ObjectAltered, DecryptionError, ArchiveError; then `into` is gone again.
    """
    try:
        folder_read(
            tenant_id=version.tenant_id, key=version.storage_key, into=into, data_key=data_key
        )
        _refuse_altered(folder_digest(into), version.sha256, version.name)
    except FileExistsError:
        raise
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise


def _refuse_altered(found: str, expected: str, name: str) -> None:
    if found != expected:
        raise ObjectAltered(f"the stored bytes of {name} are not those that were handed in")
