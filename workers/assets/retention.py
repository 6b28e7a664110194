"""What is over goes: expired uploads and files, bytes of deleted rows, forgotten objects.

Each function is one short sweep for a `control` task (system scope inside); sweeping twice, or two
at once, does no harm. Bytes go first, then the row says so: a crash between repeats the deletion.
"""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from tenants.accounts.actors import system_actor
from tenants.kernel.clock import database_now, now
from tenants.kernel.scope import system_scope
from tenants.kernel.tenancy import TenantModel
from workers.assets.models import File, ModelVersion, Upload, UploadPart
from workers.assets.services.files import file_delete
from workers.assets.storage import object_delete

BATCH = 100
ORPHAN_AGE = dt.timedelta(days=1)


def uploads_expire() -> int:
    """End uploads that were never completed. Returns how many."""
    with system_scope():
        open_ = Upload.objects.filter(status=Upload.Status.PENDING, expires_at__lte=Now())
        count: int = open_.update(status=Upload.Status.EXPIRED)
        return count


def parts_purge() -> int:
    """Remove the parts of uploads that have ended. Returns how many."""
    with system_scope():
        ended = UploadPart.objects.exclude(upload__status=Upload.Status.PENDING)
        parts = list(ended.select_for_update(of=("self",), skip_locked=True)[:BATCH])
        for part in parts:
            object_delete(key=part.storage_key)
        UploadPart.objects.filter(pk__in=[part.pk for part in parts]).delete()
        return len(parts)


def files_expire() -> int:
    """Delete files past their `expires_at`. Returns how many."""
    with system_scope():
        due = File.objects.filter(expires_at__lte=Now(), deleted_at__isnull=True)
        rows = list(due.order_by("pk")[:BATCH])
        for row in rows:
            file_delete(actor=system_actor(row.tenant_id), file_id=row.id)
        return len(rows)


def files_purge() -> int:
    """Remove the bytes of deleted files that no live file shares. Returns how many rows.

    Safe beside uploads: only a live row's bytes are ever shared anew (see `file_create`).
    """
    with system_scope():
        twins = File.objects.filter(
            tenant_id=OuterRef("tenant_id"),
            storage_key=OuterRef("storage_key"),
            deleted_at__isnull=True,
        )
        gone = File.objects.filter(deleted_at__isnull=False, purged_at__isnull=True)
        rows = list(gone.filter(~Exists(twins)).order_by("deleted_at")[:BATCH])
        for row in rows:
            object_delete(key=row.storage_key)
        File.objects.filter(pk__in=[row.pk for row in rows]).update(purged_at=Now())
        return len(rows)


def versions_purge() -> int:
    """Remove the bytes of versions deleted past restoring. Returns how many."""
    with system_scope():
        bound = database_now() - dt.timedelta(seconds=settings.MODEL_RESTORE_S)
        due = ModelVersion.objects.filter(deleted_at__lte=bound, purged_at__isnull=True)
        rows = list(due.select_for_update(skip_locked=True, of=("self",))[:BATCH])
        for row in rows:
            object_delete(key=row.storage_key)
        ModelVersion.objects.filter(pk__in=[row.pk for row in rows]).update(purged_at=Now())
        return len(rows)


def orphans_purge() -> int:
    """Remove objects of more than a day that no row names: a crash left them behind.

    Walks the whole storage, tenant by tenant: once a day is often enough. Returns how many.
    """
    bound = now() - ORPHAN_AGE
    orphans = [
        key
        for tenant_id in _listing("")[0]
        for area, rows in _AREAS.items()
        for key in _unnamed(f"{tenant_id}/{area}", rows)
        if default_storage.get_modified_time(key) < bound
    ]
    for key in orphans:
        object_delete(key=key)
    return len(orphans)


_AREAS: dict[str, type[TenantModel]] = {
    "files": File,
    "parts": UploadPart,
    "versions": ModelVersion,
}


def _unnamed(folder: str, rows: type[TenantModel]) -> set[str]:
    held = {f"{folder}/{name}" for name in _listing(folder)[1]}
    with system_scope():
        named = rows.objects.filter(storage_key__in=held).values_list("storage_key", flat=True)
        return held - set(named)


def _listing(folder: str) -> tuple[list[str], list[str]]:
    """Folders and objects in `folder`; none where it does not exist."""
    try:
        return default_storage.listdir(folder)
    except FileNotFoundError:
        return [], []
