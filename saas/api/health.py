"""`/healthz`: whether this process can do its work."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import redis
from django.conf import settings
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from psycopg_pool import PoolTimeout

from tenants.kernel.scope import APP, SYSTEM


def healthz(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """200 and `ok` where the database, its migrations and Redis are there; else 503 and why."""
    checks = {name: _outcome(check) for name, check in CHECKS.items()}
    healthy = set(checks.values()) == {"ok"}
    body = {"status": "ok" if healthy else "unavailable", "checks": checks}
    return JsonResponse(body, status=200 if healthy else 503)


def _outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except (DatabaseError, PoolTimeout, redis.RedisError, RuntimeError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
    return "ok"


def _database() -> None:
    for alias in (APP, SYSTEM):
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT 1")


def _migrations() -> None:
    missing = _missing_migrations()
    if missing:
        _missing_migrations.cache_clear()
        raise RuntimeError(f"not applied: {', '.join(missing[:5])}; run 'make up'")


@cache
def _missing_migrations() -> tuple[str, ...]:
    executor = MigrationExecutor(connections[SYSTEM])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return tuple(f"{migration.app_label}.{migration.name}" for migration, _ in plan)


def _redis() -> None:
    patience = {"socket_timeout": 2, "socket_connect_timeout": 2}
    with redis.Redis.from_url(settings.REDIS_URL, **patience) as client:
        client.ping()


CHECKS: dict[str, Callable[[], None]] = {
    "database": _database,
    "migrations": _migrations,
    "redis": _redis,
}
