"""Snapshots that nobody will resume from go: all of an ended job's, all but the newest two of
others.
"""

from __future__ import annotations

from django.db.models import F, Window
from django.db.models.functions import Now, RowNumber

from tenants.kernel.scope import system_scope
from workers.assets.storage import object_delete
from workers.jobs.models import Snapshot
from workers.jobs.states import FINAL

KEPT = 2
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
