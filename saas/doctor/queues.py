"""Redis and the broker: reachable, and set so that they forget nothing they should keep."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import redis
from django.conf import settings

from saas.doctor.findings import Finding, failed, good, warning

_PATIENCE_S = 3.0
_AMQP_GREETING = b"AMQP\x00\x00\x09\x01"  # protocol 0-9-1; the answer is a method frame (type 1)


def redis_check() -> Iterator[Finding]:
    """Redis answers and does not throw keys away when it is full."""
    yield _redis("redis", settings.REDIS_URL)


def broker_check() -> Iterator[Finding]:
    """The broker that carries hints answers."""
    url = settings.BROKER_URL
    if url == settings.REDIS_URL:
        return
    parts = urlsplit(url)
    if parts.scheme in {"redis", "rediss"}:
        yield _redis("broker", url)
        return
    host, port = parts.hostname or "127.0.0.1", parts.port or 5672
    try:
        with socket.create_connection((host, port), timeout=_PATIENCE_S) as connection:
            connection.sendall(_AMQP_GREETING)
            answer = connection.recv(1)
    except OSError as error:
        yield failed("broker", f"{_address(url)}: {error}", "start it, or unset BROKER_URL")
        return
    if answer == b"\x01":
        yield good("broker", f"RabbitMQ at {_address(url)} speaks AMQP 0-9-1")
    else:
        yield failed("broker", f"{_address(url)} does not speak AMQP 0-9-1", "check BROKER_URL")


def _redis(about: str, url: str) -> Finding:
    patience = {"socket_timeout": _PATIENCE_S, "socket_connect_timeout": _PATIENCE_S}
    client = redis.Redis.from_url(url, **patience)
    try:
        facts: Any = client.info()
    except redis.RedisError as error:
        return failed(about, f"{_address(url)}: {error}", "run: make up")
    finally:
        client.close()
    version = f"Redis {facts['redis_version']} at {_address(url)}"
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        return warning(
            about,
            f"{version} drops keys when full (maxmemory-policy {policy})",
            "set maxmemory-policy noeviction: rate limits and hints would vanish",
        )
    if not facts.get("aof_enabled"):
        return warning(
            about,
            f"{version} keeps no append-only file",
            "set appendonly yes; hints lost by a crash are found again, but later",
        )
    return good(about, f"{version} answers and appends to its file")


def _address(url: str) -> str:
    """Host and port only: a URL may hold a password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
