"""The test run's PostgreSQL and Redis: real servers, started once; for tests careless about power
cuts.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from redis import Redis as RedisClient

from saas.runtime.layout import Layout
from saas.runtime.logs import tail
from saas.runtime.postgres import Postgres, postgres_for
from saas.runtime.redis import redis_for
from saas.runtime.roles import Roles
from saas.runtime.running import spawn
from saas.runtime.secrets import env_read, port_of, superuser_password
from saas.runtime.services import STORES, Service


@dataclass(frozen=True)
class Stores:
    """`superuser` is open for the whole run; `redis` is a client of the embedded server."""

    postgres: Postgres
    roles: Roles
    superuser: psycopg.Connection
    redis: RedisClient


@contextmanager
def running_stores(layout: Layout, *, durable: bool = False) -> Iterator[Stores]:
    """Start both servers, wait until they answer, and stop them at the end.

    Benchmarks want them `durable`.
    """
    env = env_read(layout.env_file)
    password = superuser_password(layout)
    postgres = postgres_for(
        layout, port=port_of(env["DATABASE_URL"]), password=password, durable=durable
    )
    redis = redis_for(layout, env["REDIS_URL"])
    postgres.prepare()
    redis.prepare()
    roles = Roles.from_urls(
        app=env["DATABASE_URL"], owner=env["DATABASE_OWNER_URL"], system=env["DATABASE_SYSTEM_URL"]
    )
    services = (
        (postgres.ready, _service("postgres", postgres.command(), postgres)),
        (redis.ready, _service("redis", redis.command(), None)),
    )
    with _started(layout, *services):
        with psycopg.connect(postgres.url(), autocommit=True) as superuser:
            yield Stores(postgres, roles, superuser, RedisClient.from_url(env["REDIS_URL"]))


def _service(name: str, command: list[str], postgres: Postgres | None) -> Service:
    account = postgres.place.account if postgres else None
    stop = signal.SIGINT if postgres else signal.SIGTERM
    return Service(name, command, STORES, account=account, stop_signal=stop, death_signal=stop)


@contextmanager
def _started(layout: Layout, *services: tuple[Callable[[], bool], Service]) -> Iterator[None]:
    pids: dict[str, tuple[int, int]] = {}
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    try:
        for _, service in services:
            pid = spawn(service, env=env, log=layout.log(service.name))
            pids[service.name] = (pid, service.stop_signal)
        for ready, service in services:
            _wait(ready, layout, service.name)
        yield
    finally:
        _stop(pids)


def _wait(ready: Callable[[], bool], layout: Layout, name: str) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{name} does not answer:\n{tail(layout.log(name))}")
        time.sleep(0.02)


def _stop(pids: dict[str, tuple[int, int]]) -> None:
    for pid, stop in pids.values():
        os.kill(pid, stop)
    for pid, _ in pids.values():
        os.waitpid(pid, 0)
