"""Fixtures for every test: real PostgreSQL under its three roles, real Redis, a real web process.

A test that touches rows says `@pytest.mark.django_db` (or `pytestmark = pytest.mark.django_db`),
whatever its arguments: it commits for real on all three connections, and what it wrote is deleted
afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from saas.runtime.layout import Layout
from tests.database import cleaner_connect, database_clean, database_copy
from tests.plugin import LAYOUT
from tests.servers import System, running_system, running_web, told_demo
from tests.stores import Stores, running_stores


@pytest.fixture(scope="session")
def layout(pytestconfig: pytest.Config) -> Layout:
    """The test run's data folder."""
    return pytestconfig.stash[LAYOUT]


@pytest.fixture(scope="session")
def stores(layout: Layout) -> Iterator[Stores]:
    """PostgreSQL and Redis, at the addresses in the settings."""
    with running_stores(layout) as stores:
        yield stores


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    with override_settings(PASSWORD_HASHERS=["tests.passwords.QuickHasher"]):
        yield


@pytest.fixture
def own_folders(tmp_path: Path, settings: Any) -> None:
    """Scratch and stored objects (files, wheels) in folders of this test's own."""
    settings.SCRATCH_DIR = tmp_path / "scratch"
    settings.STORAGE_DIR = tmp_path / "storage"
    options = {"OPTIONS": {"location": str(settings.STORAGE_DIR)}}
    default = settings.STORAGES["default"] | options
    settings.STORAGES = {**settings.STORAGES, "default": default}


@pytest.fixture(scope="session")
def redis_url(stores: Stores, layout: Layout) -> str:
    """The embedded Redis's address, the server running."""
    del stores
    from django.conf import settings

    return str(settings.REDIS_URL)


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: DjangoDbBlocker, stores: Stores
) -> Iterator[None]:
    """One database for all three aliases, in place of pytest-django's one for each."""

    def migrate() -> None:
        call_command("migrate", database="owner", verbosity=0, interactive=False)
        _close_connections()

    with django_db_blocker.unblock():
        database_copy(stores, migrate)
    yield
    _close_connections()


@pytest.fixture(scope="session")
def _cleaner(django_db_setup: None, stores: Stores) -> Iterator[psycopg.Connection]:
    with cleaner_connect(stores) as cleaner:
        yield cleaner


@pytest.fixture
def _django_db_helper(
    _cleaner: psycopg.Connection, stores: Stores, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """What the `django_db` mark asks for, in place of pytest-django's test-case classes."""
    with django_db_blocker.unblock():
        yield
        _end_open_transactions()
        database_clean(_cleaner)
        stores.redis.flushall()


@pytest.fixture(scope="session")
def web_url(django_db_setup: None, layout: Layout) -> Iterator[str]:
    """A real web process on the test database; mark the test `django_db`, so that it is emptied."""
    with running_web(layout) as url:
        yield url


@pytest.fixture(scope="session")
def system(layout: Layout) -> Iterator[System]:
    """The whole system in a data folder of its own, shared by the tests that only use it."""
    with running_system(Layout(layout.var.with_name(f"{layout.var.name}-system"))) as system:
        yield system


@pytest.fixture(scope="session")
def demo(system: System) -> dict[str, Any]:
    """What one demo, told once for all tests, left in `demo.json`."""
    return told_demo(system)


def _end_open_transactions() -> None:
    """A failed test may leave a block open, which would lock its rows against the cleaning."""
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block or connection.needs_rollback:
            connection.close()


def _close_connections() -> None:
    for connection in connections.all(initialized_only=True):
        connection.close()
        if hasattr(connection, "close_pool"):
            connection.close_pool()
