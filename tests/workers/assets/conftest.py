"""Every test stores in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings


@pytest.fixture
def storage_dir(tmp_path: Path) -> Iterator[Path]:
    """Where this test's objects lie."""
    folder = tmp_path / "storage"
    default = {**settings.STORAGES["default"], "OPTIONS": {"location": str(folder)}}
    scratch = tmp_path / "scratch"
    with override_settings(
        STORAGES={**settings.STORAGES, "default": default},
        STORAGE_DIR=folder,
        SCRATCH_DIR=scratch,
        MODEL_CACHE_DIR=tmp_path / "cache",
    ):
        yield folder
