"""Points Django at the test run's own PostgreSQL and Redis before the settings load.

Nothing starts here: `tests/conftest.py` starts the servers when the first test needs one.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from saas.runtime.layout import ROOT, Layout
from saas.runtime.lock import Lock
from saas.runtime.ports import free_port
from saas.runtime.secrets import env_ensure

# what a developer's shell may say about another installation
_FOREIGN = (
    "DATABASE_URL DATABASE_OWNER_URL DATABASE_SYSTEM_URL REDIS_URL BROKER_URL SECRET_KEY DEBUG "
    "KEY_ENCRYPTION_KEYS STORAGE_DIR MODELS_DIR SCRATCH_DIR BASE_URL BREAKWATER_PORT LOG_LEVEL"
).split()

LAYOUT = pytest.StashKey[Layout]()

_WHOLE = "the whole system"
_FIRST = {_WHOLE: 0, "tests/workers/tasks": 1}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    for name in _FOREIGN:
        os.environ.pop(name, None)
    layout = _claimed()
    os.environ["BREAKWATER_VAR"] = str(layout.var)
    shutil.rmtree(layout.var / "storage", ignore_errors=True)
    env_ensure(layout, port=free_port())
    early_config.stash[LAYOUT] = layout


@pytest.hookimpl(tryfirst=True)  # before what distributes them reads the mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, what shares a fixture that is dear stays in one process; the longest begins."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=lambda item: _FIRST.get(_group(item), len(_FIRST)))


def _group(item: pytest.Item) -> str:
    if "system" in getattr(item, "fixturenames", ()):
        return _WHOLE
    return item.path.parent.relative_to(ROOT).as_posix()


def _claimed() -> Layout:
    """A data folder that no other test run on this checkout is using now; kept for the next one."""
    given = os.environ.get("BREAKWATER_TEST_VAR")
    first = Path(given).resolve() if given else ROOT / "var" / "test"
    for number in range(1, 50):
        layout = Layout(first if number == 1 else first.with_name(f"{first.name}-{number}"))
        layout.create()
        lock = Lock(layout.lock_file)
        if lock.acquire():
            _locks.append(lock)
            return layout
    raise pytest.UsageError(f"every data folder beside {first} is in use: remove stale ones")


_locks: list[Lock] = []  # held until the process ends
