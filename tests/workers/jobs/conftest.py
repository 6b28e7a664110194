"""Storage of the tests' own, as in the tasks' tests; and a tenant that may train."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenants.accounts.models import Tenant
from tests.workers.jobs.factories import make_tenant
from tests.workers.tasks.conftest import _own_folders
from tests.workers.tasks.factories import register_base

__all__ = ["_own_folders"]


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    """With a base to train on, and credit of a thousand dollars."""
    register_base(tmp_path / "base")
    return make_tenant()
