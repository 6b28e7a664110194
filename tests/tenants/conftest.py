"""A database of its own for tests of migrations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.db import connections

from saas.runtime.roles import database_ensure
from tests.database import _drop
from tests.stores import Stores

NAME = "carried_over"


@pytest.fixture
def database(stores: Stores) -> Iterator[str]:
    """A database of its own that `migrate` works on; its superuser's address."""
    owner = connections["owner"]
    before = owner.settings_dict["NAME"]
    _drop(stores.superuser, NAME)
    database_ensure(stores.postgres.url(), replace(stores.roles, database=NAME))
    owner.close()
    owner.settings_dict["NAME"] = NAME
    yield stores.postgres.url(NAME)
    owner.close()
    owner.settings_dict["NAME"] = before
    _drop(stores.superuser, NAME)
