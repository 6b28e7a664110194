"""An owner at the console, a rival who must never be seen there, a base model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.saas.api.factories import base_register
from tests.saas.console.factories import Person, operator_make, owner_of
from tests.workers.engine.factories import base_folder
from workers.assets.models import BaseModel


@pytest.fixture(scope="session")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_folder(tmp_path_factory.mktemp("catalogue") / "tiny")


@pytest.fixture
def base(db: None, base_path: Path) -> BaseModel:
    return base_register(base_path)


@pytest.fixture
def owner(db: None) -> Person:
    return owner_of("Acme")


@pytest.fixture
def rival(db: None) -> Person:
    return owner_of("Rival")


@pytest.fixture
def operator(db: None) -> Person:
    return operator_make()
