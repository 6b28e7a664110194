"""What the supervisor runs, as data: stage by stage, each stage once the one before it is ready."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from saas.runtime.account import Account
from saas.runtime.layout import ROOT
from saas.runtime.ports import HOST
from saas.runtime.postgres import Postgres
from saas.runtime.redis import Redis


@dataclass(frozen=True)
class Service:
    """One process to keep running; `once` marks a preparation that must end well instead.

    `stop_order`: the lowest stops first. `death_signal` is what it gets when the supervisor dies.
    """

    name: str
    command: Sequence[str]
    stage: int
    env: Mapping[str, str] = field(default_factory=dict)
    once: bool = False
    ready: Callable[[], bool] | None = None
    account: Account | None = None
    stop_order: int = 0
    stop_signal: int = signal.SIGTERM
    stop_limit_s: float = 10.0
    death_signal: int = signal.SIGKILL


STORES, ROLES, MIGRATIONS, APPLICATION = range(4)
DRAIN_LIMIT_S = 30.0  # for workers to snapshot their jobs and hand them back


def services(
    *, settings: Mapping[str, str], postgres: Postgres | None, redis: Redis | None
) -> list[Service]:
    """Return everything to run; a store that is None runs elsewhere, as the environment says."""
    return [
        *_stores(postgres, redis),
        *_preparations(postgres),
        web_service(int(settings["BREAKWATER_PORT"])),
        Service("relay", _manage("relay"), APPLICATION, stop_order=1),
        Service("scheduler", _celery("beat", "-S", "celery.beat:Scheduler"), APPLICATION),
        _worker("control", "control,review", 3),
        _worker("cpu", "train.cpu,compress.cpu,pipeline.cpu", 2),
        _worker("infer", "infer.cpu", 1),
        _worker("serve", "serve.cpu", 4),
    ]


def _stores(postgres: Postgres | None, redis: Redis | None) -> list[Service]:
    found = []
    if postgres is not None:
        found.append(
            Service(
                "postgres",
                postgres.command(),
                STORES,
                ready=postgres.ready,
                account=postgres.place.account,
                stop_order=3,
                stop_signal=signal.SIGINT,  # "fast": roll back, disconnect, checkpoint
                stop_limit_s=30.0,
                death_signal=signal.SIGINT,
            )
        )
    if redis is not None:
        found.append(
            Service(
                "redis",
                redis.command(),
                STORES,
                ready=redis.ready,
                stop_order=2,
                death_signal=signal.SIGTERM,
            )
        )
    return found


def _preparations(postgres: Postgres | None) -> list[Service]:
    found = [
        Service("migrations", _manage("migrate", "--database", "owner"), MIGRATIONS, once=True)
    ]
    if postgres is not None:  # elsewhere, `manage.py bootstrap` has made the roles
        superuser = {"DATABASE_SUPERUSER_URL": postgres.url()}
        roles = Service("roles", _python("saas.runtime.roles"), ROLES, env=superuser, once=True)
        found.insert(0, roles)
    return found


def web_service(port: int) -> Service:
    command = [
        *_python("uvicorn", "saas.asgi:application", "--host", HOST, "--port", str(port)),
        *("--no-access-log", "--timeout-graceful-shutdown", "8"),
    ]
    return Service("web", command, APPLICATION, ready=lambda: web_answers(port))


def _worker(name: str, queues: str, slots: int) -> Service:
    # threads: a task only supervises a spawned child, which does the work
    command = _celery("worker", "-Q", queues, "-P", "threads", "-c", str(slots))
    return Service(
        f"worker-{name}",
        [*command, "-n", f"{name}@%h", "--without-gossip", "--without-mingle"],
        APPLICATION,
        env={"BREAKWATER_WORKER_CLASS": "cpu", "BREAKWATER_WORKER": name},
        stop_limit_s=DRAIN_LIMIT_S,
    )


def web_answers(port: int) -> bool:
    """Whether the web process says that it is healthy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}/healthz", timeout=3) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, os.fspath(ROOT / "manage.py"), *arguments]


def _celery(*arguments: str) -> list[str]:
    return _python("celery", "-A", "saas.celery", *arguments)
