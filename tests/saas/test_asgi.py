"""The web process starts only on roles that keep tenants apart."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync

from tests.stores import Stores
from tests.tenants.kernel.test_roles_check import altered

pytestmark = pytest.mark.django_db


async def answers_to_startup() -> list[dict[str, Any]]:
    """What a server hears that starts the application and stops it again."""
    from saas.asgi import Web

    asked = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    answers: list[dict[str, Any]] = []

    async def receive() -> Any:
        return next(asked)

    async def send(message: Any) -> None:
        answers.append(message)

    await Web()({"type": "lifespan"}, receive, send)
    return answers


def test_it_starts_on_safe_roles() -> None:
    said = [answer["type"] for answer in async_to_sync(answers_to_startup)()]

    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_it_refuses_to_start_where_the_app_role_bypasses_policies(stores: Stores) -> None:
    with altered(stores, "ALTER ROLE {default} BYPASSRLS", "ALTER ROLE {default} NOBYPASSRLS"):
        (answer,) = async_to_sync(answers_to_startup)()

    assert answer["type"] == "lifespan.startup.failed"
    assert "bypasses row-level security" in answer["message"]
