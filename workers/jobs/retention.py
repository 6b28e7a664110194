"""Snapshots that nobody will resume from go: all of an ended job's, all but the newest two of
others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from django.core.files.storage import default_storage
from django.db.models import F, Window
from django.db.models.functions import Now, RowNumber

from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from workers.assets.storage import object_delete
from workers.jobs.models import Snapshot
from workers.jobs.states import FINAL

KEPT = 2
ORPHAN_AGE = dt.timedelta(days=1)
BATCH = 100


def snapshots_purge() -> int:
    """Delete old snapshots' bytes, then mark their rows; return how many. Repeating it is harmless.

    The one a job resumes from always stays.
    """
    with system_scope():
        alive = Snapshot.objects.filter(deleted_at__isnull=True)
        ended = list(alive.filter(job__state__in=FINAL).order_by("pk")[:BATCH])
        ranked = alive.exclude(job__state__in=FINAL).annotate(
            age=Window(RowNumber(), partition_by=F("job_id"), order_by=F("pk").desc())
        )
        older = ranked.filter(age__gt=KEPT).select_related("job")[:BATCH]
        stale = [snapshot for snapshot in older if snapshot.pk != snapshot.job.resume_from]
    for snapshot in [*ended, *stale]:
        object_delete(key=snapshot.storage_key)
    with system_scope():
        gone = Snapshot.objects.filter(pk__in=[s.pk for s in [*ended, *stale]])
        return int(gone.update(deleted_at=Now()))


def snapshot_orphans_purge() -> int:
    """Delete sealed snapshots of over a day that no row names: their worker died before it
    committed.

    Walks every tenant's `jobs` folder: once a day is often enough. Returns how many.
    """
    bound = now() - ORPHAN_AGE
    old = [key for key in _sealed_snapshots() if default_storage.get_modified_time(key) < bound]
    with system_scope():
        rows = Snapshot.objects.filter(storage_key__in=old, deleted_at__isnull=True)
        named = set(rows.values_list("storage_key", flat=True))
    for key in set(old) - named:
        object_delete(key=key)
    return len(set(old) - named)


def _sealed_snapshots() -> Iterator[str]:
    """Keys tenant/jobs/job/token/step."""
    for tenant_id in _folders(""):
        for job_id in _folders(f"{tenant_id}/jobs"):
            for token in _folders(f"{tenant_id}/jobs/{job_id}"):
                folder = f"{tenant_id}/jobs/{job_id}/{token}"
                yield from (f"{folder}/{name}" for name in default_storage.listdir(folder)[1])


def _folders(folder: str) -> list[str]:
    try:
        return list(default_storage.listdir(folder)[0])
    except FileNotFoundError:
        return []
