"""Files that arrive in parts: put together in the order given, once their bytes equal the promise.

https://platform.openai.com/docs/api-reference/uploads
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Sequence

from django.conf import settings
from django.db.models import Sum

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.clock import database_now
from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.errors import Conflict, InvalidInput, NotFound, TooLarge
from tenants.kernel.ids import new_id
from workers.assets.credit import standing_require
from workers.assets.filenames import clean_filename
from workers.assets.models import Upload, UploadPart
from workers.assets.selectors import upload_get
from workers.assets.services.files import (
    clean_media_type,
    file_create,
    refuse_purpose,
    removed_on_error,
)
from workers.assets.storage import object_key, object_read, object_write


def upload_create(
    *,
    actor: Actor,
    filename: str,
    purpose: str,
    bytes: int,  # noqa: A002 -- the API's own word
    media_type: str = "",
) -> Upload:
    """Promise a file of `bytes` bytes, to be sent in parts within the hour.

    Raises InvalidInput, TooLarge, PermissionDenied (suspended tenant), InsufficientCredit.
    """
    actor.require("files.write")
    standing_require(actor=actor)
    name = clean_filename(filename)
    refuse_purpose(purpose)
    if bytes < 1:
        raise InvalidInput("bytes is the file's size, at least 1", param="bytes")
    if bytes > settings.MAX_FILE_BYTES:
        raise TooLarge(f"files hold at most {settings.MAX_FILE_BYTES:,} bytes", param="bytes")
    row: Upload = Upload.objects.create(
        id=new_id("upload_"),
        tenant_id=actor.tenant_id,
        filename=name,
        purpose=purpose,
        media_type=clean_media_type(media_type, name),
        bytes=bytes,
        expires_at=database_now() + dt.timedelta(seconds=settings.UPLOAD_EXPIRES_S),
    )
    audit_record(actor=actor, action="upload.create", target=row.id, data={"filename": name})
    return row


def upload_part_add(*, actor: Actor, upload_id: str, chunks: Iterable[bytes]) -> UploadPart:
    """Add a part. Parts may come side by side; their order is said on completion.

    Raises NotFound, Conflict for an upload that has ended, InvalidInput, TooLarge.
    """
    actor.require("files.write")
    _refuse_ended(upload_get(upload_id))
    stored = object_write(
        tenant_id=actor.tenant_id,
        key=object_key(actor.tenant_id, "parts"),
        chunks=_bounded(chunks),
        data_key=tenant_data_key(actor.tenant_id),
    )
    with removed_on_error(stored):
        upload = _upload_open(upload_id)
        _refuse_flood(upload, stored.bytes)
        row: UploadPart = UploadPart.objects.create(
            id=new_id("part_"),
            tenant_id=actor.tenant_id,
            upload=upload,
            bytes=stored.bytes,
            storage_key=stored.key,
        )
        audit_record(actor=actor, action="upload.add_part", target=upload_id, data={"part": row.id})
    return row


def upload_complete(
    *, actor: Actor, upload_id: str, part_ids: Sequence[str], md5: str = ""
) -> Upload:
    """Make a file of the parts named, in that order. `md5`, if given, is the whole file's.

    Raises NotFound, Conflict for an upload that has ended, InvalidInput; then it stays open.
    """
    actor.require("files.write")
    upload = _upload_open(upload_id)
    parts = _parts_in_order(upload, part_ids)
    total = sum(part.bytes for part in parts)
    if total != upload.bytes:
        raise InvalidInput(
            f"the parts hold {total:,} bytes, the upload promised {upload.bytes:,}",
            param="part_ids",
        )
    upload.file = file_create(
        actor=actor,
        filename=upload.filename,
        purpose=upload.purpose,
        media_type=upload.media_type,
        chunks=_md5_checked(_contents(parts, tenant_data_key(upload.tenant_id)), md5),
    )
    upload.status = Upload.Status.COMPLETED
    upload.save(update_fields=["file", "status"])
    audit_record(
        actor=actor, action="upload.complete", target=upload.id, data={"file": upload.file.id}
    )
    return upload


def upload_cancel(*, actor: Actor, upload_id: str) -> Upload:
    """Give an upload up; cancelling it again changes nothing. Raises NotFound, Conflict."""
    actor.require("files.write")
    upload = _upload_locked(upload_id)
    if upload.status != Upload.Status.CANCELLED:
        _refuse_ended(upload)
        upload.status = Upload.Status.CANCELLED
        upload.save(update_fields=["status"])
        audit_record(actor=actor, action="upload.cancel", target=upload.id)
    return upload


def _upload_locked(upload_id: str) -> Upload:
    row: Upload | None = Upload.objects.select_for_update().filter(pk=upload_id).first()
    if row is None:
        raise NotFound(f"no upload {upload_id!r}", param="upload_id")
    return row


def _upload_open(upload_id: str) -> Upload:
    upload = _upload_locked(upload_id)
    _refuse_ended(upload)
    return upload


def _refuse_ended(upload: Upload) -> None:
    expired = upload.expires_at <= database_now()
    if upload.status == Upload.Status.PENDING and not expired:
        return
    state = "expired" if upload.status == Upload.Status.PENDING else upload.status
    raise Conflict(f"the upload is {state}; begin a new one", code="upload_not_pending")


def _refuse_flood(upload: Upload, size: int) -> None:
    """Parts left out on completion are allowed (a retry), but not without end."""
    sent = upload.parts.aggregate(total=Sum("bytes"))["total"] or 0
    if sent + size > 2 * upload.bytes + settings.MAX_PART_BYTES:
        raise TooLarge(
            f"the parts sent hold {sent + size:,} bytes, the upload promised {upload.bytes:,}",
            param="data",
        )


def _bounded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > settings.MAX_PART_BYTES:
            raise TooLarge(f"a part holds at most {settings.MAX_PART_BYTES:,} bytes", param="data")
        yield chunk
    if size == 0:
        raise InvalidInput("the part is empty", param="data", code="empty_file")


def _parts_in_order(upload: Upload, part_ids: Sequence[str]) -> list[UploadPart]:
    known = {part.id: part for part in upload.parts.all()}
    unknown = [part_id for part_id in part_ids if part_id not in known]
    if unknown:
        raise InvalidInput(f"{unknown[0]!r} is no part of this upload", param="part_ids")
    if not part_ids or len(set(part_ids)) != len(part_ids):
        raise InvalidInput("name each part once, in the file's order", param="part_ids")
    return [known[part_id] for part_id in part_ids]


def _contents(parts: Sequence[UploadPart], data_key: bytes) -> Iterator[bytes]:
    for part in parts:
        yield from object_read(tenant_id=part.tenant_id, key=part.storage_key, data_key=data_key)


def _md5_checked(chunks: Iterable[bytes], expected: str) -> Iterator[bytes]:
    """MD5 guards against accidents in transit here, never against attackers."""
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if expected and digest.hexdigest() != expected.lower():
        raise InvalidInput(
            f"the file's md5 is {digest.hexdigest()}, not {expected}; send the parts again",
            param="md5",
            code="checksum_mismatch",
        )
