"""Tenants' bytes at rest: sealed with the tenant's data key, written whole or not at all.

Beneath lies Django's storage API (a local folder, or S3 by django-storages: settings only). Keys
begin with the tenant's id. The caller fetches the data key in a short scope; none is opened here.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from django.core.files.base import File
from django.core.files.storage import default_storage

from tenants.kernel.crypto import decrypt, encrypt
from tenants.kernel.errors import BreakwaterError, Unavailable
from tenants.kernel.ids import new_id
from workers.assets.archive import Limits, tar_chunks, tar_extract
from workers.assets.streams import reader

_FULL = {errno.ENOSPC, errno.EDQUOT}


class ObjectMissing(BreakwaterError):
    """A row names an object that the storage does not hold."""

    code = "object_missing"


@dataclass(frozen=True)
class StoredObject:
    """A sealed object; `bytes` and `sha256` are those of its plaintext."""

    key: str
    bytes: int
    sha256: str


def object_key(tenant_id: str, area: str) -> str:
    """A fresh key in one of a tenant's areas: "files", "parts", "versions"."""
    return f"{tenant_id}/{area}/{new_id('obj_')}"


def object_write(
    *, tenant_id: str, key: str, chunks: Iterable[bytes], data_key: bytes
) -> StoredObject:
    """Seal and store `chunks` under `key`; after an exception nothing readable lies there.

    Raises ValueError for another tenant's key, Unavailable where the storage is full.
    """
    if not key.startswith(f"{tenant_id}/"):
        raise ValueError(f"the key {key!r} does not belong to tenant {tenant_id}")
    counted = _Counted(chunks)
    sealed = File(reader(encrypt(counted, data_key)), name=key)
    try:
        name = default_storage.save(key, sealed)
    except OSError as error:
        if error.errno in _FULL:
            raise Unavailable(
                "the platform's storage is full; try again later", code="storage_full"
            ) from error
        raise
    return StoredObject(key=name, bytes=counted.bytes, sha256=counted.digest.hexdigest())


def object_read(*, tenant_id: str, key: str, data_key: bytes) -> Iterator[bytes]:
    """Open an object; its pieces come as they are asked for, also after the scope has closed.

    Raises ValueError, ObjectMissing at once; DecryptionError at the piece that was altered.
    """
    if not key.startswith(f"{tenant_id}/"):
        raise ValueError(f"the key {key!r} does not belong to tenant {tenant_id}")
    try:
        source = default_storage.open(key, "rb")
    except FileNotFoundError as error:
        raise ObjectMissing(f"the storage holds no object {key!r}") from error
    return _opened(cast("BinaryIO", source), data_key)


def _opened(source: BinaryIO, data_key: bytes) -> Iterator[bytes]:
    with source:
        yield from decrypt(source, data_key)


def object_delete(*, key: str) -> None:
    """Remove an object; one that is not there is no error."""
    default_storage.delete(key)


def folder_write(*, tenant_id: str, key: str, folder: Path, data_key: bytes) -> StoredObject:
    """Seal a folder as one tar; the same files give the same plaintext.

    Raises ArchiveError for links and special files in it.
    """
    return object_write(tenant_id=tenant_id, key=key, chunks=tar_chunks(folder), data_key=data_key)


def folder_read(
    *, tenant_id: str, key: str, into: Path, data_key: bytes, limits: Limits | None = None
) -> None:
    """Open a sealed folder into the new folder `into`.

    Raises ArchiveError for anything but plain files, or past the limits.
    """
    plain = object_read(tenant_id=tenant_id, key=key, data_key=data_key)
    tar_extract(reader(plain), into, limits or Limits())


class _Counted:
    """Passes pieces through and remembers how many bytes, and their hash."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.bytes = 0
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.bytes += len(chunk)
            self.digest.update(chunk)
            yield chunk
