"""Private folders for the plaintext of attempts, and what a killed worker left of them behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from tenants.kernel.scope import system_scope
from workers.jobs.models import Attempt, Cohort


@contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """A private folder named after its attempt or cohort, gone at the end."""
    root = Path(settings.SCRATCH_DIR)
    root.mkdir(parents=True, exist_ok=True)
    folder = root / name
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def scratch_sweep() -> int:
    """Remove the folders of attempts and cohorts that have ended; return how many.

    Runs on the worker itself.
    """
    return sum(_sweep(prefix, model) for prefix, model in (("att_", Attempt), ("coh_", Cohort)))


def _sweep(prefix: str, model: type[Attempt | Cohort]) -> int:
    root = Path(settings.SCRATCH_DIR)
    folders = {path.name: path for path in root.glob(f"{prefix}*")} if root.is_dir() else {}
    if not folders:
        return 0
    with system_scope():
        ended = model.objects.filter(pk__in=folders, ended_at__isnull=False)
        names = list(ended.values_list("pk", flat=True))
    for name in names:
        shutil.rmtree(folders[name], ignore_errors=True)
    return len(names)
