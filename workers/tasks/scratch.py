"""Plaintext that a killed worker left behind on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings

from tenants.kernel.scope import system_scope
from workers.jobs.models import Attempt


def scratch_sweep() -> int:
    """Remove the folders of attempts that have ended; return how many.

    Runs on the worker itself.
    """
    root = Path(settings.SCRATCH_DIR)
    folders = {path.name: path for path in root.glob("att_*")} if root.is_dir() else {}
    if not folders:
        return 0
    with system_scope():
        ended = Attempt.objects.filter(pk__in=folders, ended_at__isnull=False)
        names = list(ended.values_list("pk", flat=True))
    for name in names:
        shutil.rmtree(folders[name], ignore_errors=True)
    return len(names)
