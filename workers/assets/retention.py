"""What is over goes: expired uploads and files, bytes of deleted rows, forgotten scratch.

Each function is one short sweep for a `control` task (system scope inside); sweeping twice, or two
at once, does no harm. Bytes go first, then the row says so: a crash between repeats the deletion.
"""

from __future__ import annotations

import datetime as dt
import shutil
import time
from pathlib import Path

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import Exists, OuterRef
from django.db.models.functions import Now

from tenants.accounts.actors import system_actor
from tenants.kernel.clock import database_now, now
from tenants.kernel.scope import system_scope
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


def scratch_sweep(*, older_than: dt.timedelta, keep: frozenset[str] = frozenset()) -> int:
    """Remove what nothing has touched in SCRATCH_DIR for `older_than`, all in `keep` apart.

    `keep` names the folders of attempts that still hold a lease. Returns how many.
    """
    bound = time.time() - older_than.total_seconds()
    scratch = Path(settings.SCRATCH_DIR)
    stale = [
        entry
        for entry in (scratch.iterdir() if scratch.is_dir() else ())
        if entry.name not in keep and entry.lstat().st_mtime < bound
    ]
    for entry in stale:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    return len(stale)


def orphans_purge(*, tenant_id: str) -> int:
    """Remove a tenant's objects of more than a day that no row names: a crash left them behind.

    Returns how many.
    """
    bound = now() - ORPHAN_AGE
    orphans: list[str] = []
    for area, rows in (("files", File), ("parts", UploadPart), ("versions", ModelVersion)):
        held = _keys(f"{tenant_id}/{area}")
        with system_scope():
            named = set(
                rows.objects.filter(storage_key__in=held).values_list("storage_key", flat=True)
            )
        orphans += [key for key in held - named if default_storage.get_modified_time(key) < bound]
    for key in orphans:
        object_delete(key=key)
    return len(orphans)


def _keys(folder: str) -> set[str]:
    try:
        _, names = default_storage.listdir(folder)
    except FileNotFoundError:
        return set()
    return {f"{folder}/{name}" for name in names}
