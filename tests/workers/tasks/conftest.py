"""Scratch, storage and a tiny base model of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.workers.tasks.factories import register_base


@pytest.fixture(autouse=True)
def _own_folders(own_folders: None) -> None:
    pass


@pytest.fixture(scope="session")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bases") / "tiny"


@pytest.fixture
def base(transactional_db: None, tmp_path: Path) -> Any:
    return register_base(tmp_path / "base")
