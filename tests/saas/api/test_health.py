"""`/healthz`: well, and what it says of something missing."""

from __future__ import annotations

import pytest
from django.test import override_settings

from saas.api import health
from tests.saas.api.factories import Caller

pytestmark = pytest.mark.django_db


def test_everything_is_there(nobody: Caller) -> None:
    reply = nobody.get("/healthz")

    assert reply.status == 200
    assert reply.json == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok", "redis": "ok"},
    }


def test_a_missing_redis_is_named(nobody: Caller) -> None:
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        reply = nobody.get("/healthz")

    assert reply.status == 503
    assert reply.json["checks"]["database"] == "ok"
    assert "ConnectionError" in reply.json["checks"]["redis"]


def test_missing_migrations_are_named(nobody: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db.migrations.recorder import MigrationRecorder

    applied = MigrationRecorder.applied_migrations
    health._missing_migrations.cache_clear()
    monkeypatch.setattr(
        MigrationRecorder,
        "applied_migrations",
        lambda self: {k: v for k, v in applied(self).items() if k[0] != "usage"},
    )

    reply = nobody.get("/healthz")

    assert reply.status == 503
    assert "usage.0001_initial" in reply.json["checks"]["migrations"]
    monkeypatch.undo()
    assert nobody.get("/healthz").status == 200
