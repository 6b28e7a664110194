"""The real `openai` client against a real web process."""

from __future__ import annotations

from pathlib import Path

import pytest
from openai import OpenAI

from tests.saas.api.factories import Caller, base_register, tenant_caller
from tests.workers.engine.factories import base_folder
from workers.assets.models import BaseModel


@pytest.fixture(scope="session")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_folder(tmp_path_factory.mktemp("catalogue") / "tiny")


@pytest.fixture
def base(db: None, base_path: Path) -> BaseModel:
    return base_register(base_path)


@pytest.fixture
def owner(db: None) -> Caller:
    return tenant_caller("Acme")


@pytest.fixture
def client(owner: Caller, web_url: str) -> OpenAI:
    return openai_client(owner, web_url)


@pytest.fixture
def rival_client(db: None, web_url: str) -> OpenAI:
    return openai_client(tenant_caller("Rival"), web_url)


def openai_client(caller: Caller, web_url: str) -> OpenAI:
    """The same secret serves as the admin key that organization/usage asks for."""
    assert caller.secret is not None
    return OpenAI(
        base_url=f"{web_url}/v1",
        api_key=caller.secret,
        admin_api_key=caller.secret,
        max_retries=0,
        timeout=60,
    )
