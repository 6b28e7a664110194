"""Points Django at the test run's own PostgreSQL and Redis before the settings load.

Nothing starts here: `tests/conftest.py` starts the servers when the first test needs one.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from saas.runtime.layout import ROOT, Layout
from saas.runtime.lock import Lock
from saas.runtime.ports import free_port
from saas.runtime.secrets import env_ensure

# what a developer's shell may say about another installation
_FOREIGN = (
    "DATABASE_URL DATABASE_OWNER_URL DATABASE_SYSTEM_URL REDIS_URL BROKER_URL SECRET_KEY DEBUG "
    "KEY_ENCRYPTION_KEYS STORAGE_DIR MODELS_DIR SCRATCH_DIR BASE_URL BREAKWATER_PORT LOG_LEVEL "
    "STRIPE_ALLOW_LIVE STRIPE_WEBHOOK_SECRET STRIPE_API_BASE"
).split()

LAYOUT = pytest.StashKey[Layout]()
STRIPE_KEY = pytest.StashKey[str]()  # of Stripe's test mode, where its suite is to run there

_WHOLE = "the whole system"
_ON_THE_SYSTEM = ("tests/journeys/", "tests/saas/runtime/test_commands.py")
_FIRST = {_WHOLE: 0, "tests/workers/tasks": 1}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    for name in _FOREIGN:
        os.environ.pop(name, None)
    early_config.stash[STRIPE_KEY] = _stripe_key()
    layout = _claimed()
    os.environ["BREAKWATER_VAR"] = str(layout.var)
    shutil.rmtree(layout.var / "storage", ignore_errors=True)
    env_ensure(layout, port=free_port())
    early_config.stash[LAYOUT] = layout


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups begin: side by side, nothing waits for them at the end."""
    items.sort(key=lambda item: _FIRST.get(_group(item.nodeid), len(_FIRST)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What only a GPU can show is skipped where there is none."""
    if item.get_closest_marker("gpu"):
        import torch  # not before: most tests do without

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device, and torch sees none on this machine")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Side by side (`pytest -n`), what shares a fixture that is dear stays in one process."""
    return _ByGroup(config, log)


class _ByGroup(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


def _group(nodeid: str) -> str:
    """A test's folder, or the name of all that use the running system."""
    path = nodeid.partition("::")[0]
    return _WHOLE if path.startswith(_ON_THE_SYSTEM) else path.rpartition("/")[0]


def _stripe_key() -> str:
    """For the Stripe suite alone: all other tests run with Stripe off."""
    key = os.environ.pop("STRIPE_SECRET_KEY", "")
    if key and not key.startswith(("sk_test_", "rk_test_")):
        raise pytest.UsageError("STRIPE_SECRET_KEY is no test key: nothing is sent with it here")
    return key


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
