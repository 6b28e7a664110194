"""Models built once for all engine tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.workers.engine.factories import FAMILIES, base_folder

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny base folder of every family."""
    root = tmp_path_factory.mktemp("bases")
    return {family: base_folder(root / family, family) for family in FAMILIES}


@pytest.fixture
def base(bases: dict[str, Path]) -> Path:
    return bases["llama"]
