"""Data folders for tests that start a system of their own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_folder() -> Iterator[Path]:
    """Yield a folder that every account can enter, and remove it at the end.

    pytest's own are closed to the account that root hands PostgreSQL to, whose data would then lie,
    and stay, under /var/lib.
    """
    path = Path(tempfile.mkdtemp(prefix="breakwater-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)
