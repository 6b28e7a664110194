"""A tenant that calls, a rival that must never see it, and a base model both may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.saas.api.factories import Caller, base_register, operator_caller, tenant_caller
from tests.workers.engine.factories import base_folder
from workers.assets.models import BaseModel


@pytest.fixture(scope="session")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Hugging Face folder with a real tokenizer and chat template."""
    return base_folder(tmp_path_factory.mktemp("catalogue") / "tiny")


@pytest.fixture
def base(db: None, base_path: Path) -> BaseModel:
    return base_register(base_path)


@pytest.fixture
def api(db: None) -> Caller:
    return tenant_caller("Acme")


@pytest.fixture
def rival(db: None) -> Caller:
    return tenant_caller("Rival")


@pytest.fixture
def operator(db: None) -> Caller:
    return operator_caller()


@pytest.fixture
def nobody(db: None) -> Caller:
    """Someone without a key."""
    return Caller(None)
