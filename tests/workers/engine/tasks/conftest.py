"""Bases of the tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.engine.tasks.texts import encoder_folder
from workers.engine.base.tables import tabular_base_build


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encoder_folder(tmp_path_factory.mktemp("bases") / "bert")


@pytest.fixture(scope="session")
def tabular_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tabular_base_build(tmp_path_factory.mktemp("bases") / "tabular-mlp")
