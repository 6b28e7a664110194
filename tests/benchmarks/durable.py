"""Where benchmarks run: the project's own PostgreSQL with fsync on, migrated anew, and Redis."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saas.runtime.layout import ROOT, Layout
from saas.runtime.ports import free_port
from saas.runtime.secrets import env_ensure


@contextmanager
def durable_stores(name: str) -> Iterator[Layout]:
    """Start the stores in a data folder of their own, with an empty database; set Django up."""
    from tests.plugin import _FOREIGN

    top = Path(os.environ.get("BREAKWATER_VAR", ROOT / "var"))
    for foreign in _FOREIGN:
        os.environ.pop(foreign, None)
    layout = Layout(top / f"bench-{name}")
    os.environ.update(BREAKWATER_VAR=str(layout.var), DJANGO_SETTINGS_MODULE="saas.settings")
    layout.create()
    env_ensure(layout, port=free_port())

    import django

    from saas.runtime.roles import database_ensure
    from tests.database import _drop
    from tests.stores import running_stores

    django.setup()
    with running_stores(layout, durable=True) as stores:
        _drop(stores.superuser, stores.roles.database)
        database_ensure(stores.postgres.url(), stores.roles)
        _migrate()
        yield layout


def _migrate() -> None:
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", database="owner", verbosity=0, interactive=False)
    for connection in connections.all(initialized_only=True):
        connection.close()


def fsync_ms(folder: Path, *, writes: int = 200) -> dict[str, float]:
    """Milliseconds of one fsync after an 8 KiB write in `folder`: median and 99th percentile."""
    path = folder / "fsync.probe"
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(writes):
            file.write(os.urandom(8192))
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1000)
    path.unlink()
    took.sort()
    return {"p50": took[len(took) // 2], "p99": took[int(len(took) * 0.99)]}
