"""Files: streamed in, checked and sealed on the way; equal content of one tenant is stored once."""

from __future__ import annotations

import datetime as dt
import mimetypes
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db.models import Sum

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.clock import database_now
from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.errors import InvalidInput, NotFound, TooLarge
from tenants.kernel.ids import new_id
from tenants.kernel.locks import AdvisoryLock, advisory_lock
from tenants.kernel.outbox import emit
from workers.assets.credit import standing_require
from workers.assets.events import FileCreated, FileDeleted, FileExpirySet
from workers.assets.filenames import clean_filename
from workers.assets.models import File
from workers.assets.sniffing import PURPOSES, checked
from workers.assets.storage import StoredObject, object_delete, object_key, object_write

_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)


def file_create(
    *,
    actor: Actor,
    filename: str,
    purpose: str,
    chunks: Iterable[bytes],
    media_type: str = "",
    expires_at: dt.datetime | None = None,
) -> File:
    """Store a file.

    Raises InvalidInput (name, purpose, kind, empty, not UTF-8), TooLarge, PermissionDenied
    (suspended tenant), InsufficientCredit: storage costs.
    """
    actor.require("files.write")
    standing_require(actor=actor)
    name = clean_filename(filename)
    refuse_purpose(purpose)
    stored = object_write(
        tenant_id=actor.tenant_id,
        key=object_key(actor.tenant_id, "files"),
        chunks=checked(chunks, purpose=purpose, max_bytes=settings.MAX_FILE_BYTES),
        data_key=tenant_data_key(actor.tenant_id),
    )
    with removed_on_error(stored):
        _refuse_over_quota(actor.tenant_id, stored.bytes)
        row: File = File.objects.create(
            id=new_id("file-"),
            tenant_id=actor.tenant_id,
            filename=name,
            purpose=purpose,
            media_type=clean_media_type(media_type, name),
            bytes=stored.bytes,
            sha256=stored.sha256,
            storage_key=_only_copy(actor.tenant_id, stored),
            expires_at=expires_at,
        )
        audit_record(actor=actor, action="file.create", target=row.id, data={"filename": name})
        emit(FileCreated(tenant_id=row.tenant_id, file_id=row.id, bytes=row.bytes))
    return row


def file_keep(
    *,
    tenant_id: str,
    filename: str,
    stored: StoredObject,
    purpose: str = "user_data",
    made_by: str = "",
    made_of: str = "",
) -> File:
    """Make a file of what a job made and sealed: the customer's own, to download or to use.

    `made_by`: the job; `made_of`: the one file that it was made of.
    """
    row: File = File.objects.create(
        id=new_id("file-"),
        tenant_id=tenant_id,
        filename=clean_filename(filename),
        purpose=purpose,
        media_type=clean_media_type("", filename),
        bytes=stored.bytes,
        sha256=stored.sha256,
        storage_key=_only_copy(tenant_id, stored),
        made_by=made_by,
        made_of=made_of,
    )
    emit(FileCreated(tenant_id=tenant_id, file_id=row.id, bytes=row.bytes))
    return row


def file_delete(*, actor: Actor, file_id: str) -> None:
    """Delete a file; its bytes go with the next sweep unless an equal file keeps them.

    Raises NotFound.
    """
    actor.require("files.write")
    rows = File.objects.select_for_update().filter(deleted_at__isnull=True)
    row: File | None = rows.filter(pk=file_id).first()
    if row is None:
        raise NotFound(f"no file {file_id!r}; it may have been deleted", param="file_id")
    advisory_lock(AdvisoryLock.CONTENT, f"{row.tenant_id}/{row.sha256}")
    row.deleted_at = database_now()
    row.save(update_fields=["deleted_at"])
    audit_record(actor=actor, action="file.delete", target=row.id)
    emit(FileDeleted(tenant_id=row.tenant_id, file_id=row.id))


def file_expiry_set(*, actor: Actor, file_id: str, expires_at: dt.datetime | None) -> File:
    """Say when a file ends by itself; None: it is kept. Raises NotFound."""
    actor.require("files.write")
    rows = File.objects.select_for_update().filter(deleted_at__isnull=True)
    row: File | None = rows.filter(pk=file_id).first()
    if row is None:
        raise NotFound(f"no file {file_id!r}; it may have been deleted", param="file_id")
    row.expires_at = expires_at
    row.save(update_fields=["expires_at"])
    until = None if expires_at is None else expires_at.isoformat()
    audit_record(actor=actor, action="file.expiry_set", target=row.id, data={"until": until})
    emit(FileExpirySet(tenant_id=row.tenant_id, file_id=row.id, expires_at=expires_at))
    return row


def refuse_purpose(purpose: str) -> None:
    """Raises InvalidInput for a purpose that is not known."""
    if purpose not in PURPOSES:
        raise InvalidInput(
            f"unknown purpose {purpose!r}; choose one of {', '.join(sorted(PURPOSES))}",
            param="purpose",
        )


def clean_media_type(given: str, filename: str) -> str:
    """The media type given, if it is one; else what the name suggests."""
    if len(given) <= 100 and _MEDIA_TYPE.fullmatch(given):
        return given
    if filename.endswith(".jsonl"):
        return "application/jsonl"
    return mimetypes.guess_type(filename)[0] or "application/octet-stream"


@contextmanager
def removed_on_error(stored: StoredObject) -> Iterator[None]:
    """Take a fresh object back if the rows that would name it cannot be written."""
    try:
        yield
    except BaseException:
        object_delete(key=stored.key)
        raise


def _only_copy(tenant_id: str, stored: StoredObject) -> str:
    """The key under which this content stays: an equal live file's, or else its own.

    The lock makes equal uploads, and a deletion, wait for each other.
    """
    advisory_lock(AdvisoryLock.CONTENT, f"{tenant_id}/{stored.sha256}")
    live = File.objects.filter(tenant_id=tenant_id, deleted_at__isnull=True)
    twin = live.filter(sha256=stored.sha256).first()
    if twin is None:
        return stored.key
    object_delete(key=stored.key)
    return str(twin.storage_key)


def _refuse_over_quota(tenant_id: str, size: int) -> None:
    live = File.objects.filter(tenant_id=tenant_id, deleted_at__isnull=True)
    used = live.aggregate(total=Sum("bytes"))["total"] or 0
    if used + size > settings.MAX_TENANT_BYTES:
        raise TooLarge(
            f"your files would take {used + size:,} bytes, more than your "
            f"{settings.MAX_TENANT_BYTES:,}; delete some first",
            param="file",
            code="storage_quota_exceeded",
        )
