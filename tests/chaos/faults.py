"""What goes wrong: each fault strikes real processes of the running system, chosen at random."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import psycopg
from django.conf import settings

from saas.runtime.layout import Layout
from saas.runtime.status import status_read
from tenants.kernel.scope import system_scope
from tests.chaos.database import sat_out
from workers.jobs.models import Attempt
from workers.jobs.states import Kind

Fault = Callable[[random.Random], str]


def kill_parent(rng: random.Random) -> str:
    """The worker that holds a running fine-tune."""
    return _kill(_busy_worker(rng), "a worker's parent")


def kill_child(rng: random.Random) -> str:
    """The training child of a running fine-tune."""
    return _kill(_child_of(_busy_worker(rng), rng), "a training child")


def kill_replica(rng: random.Random) -> str:
    return _kill(_child_of(_busy_worker(rng, kind=Kind.SERVE), rng), "a replica")


def kill_relay(_: random.Random) -> str:
    return _kill(_service("relay"), "the relay")


def kill_scheduler(_: random.Random) -> str:
    return _kill(_service("scheduler"), "the scheduler")


def kill_control(_: random.Random) -> str:
    return _kill(_service("worker-control"), "the control worker")


def kill_redis(_: random.Random) -> str:
    return _kill(_service("redis"), "Redis")


def kill_postgres(_: random.Random) -> str:
    return _kill(_service("postgres"), "PostgreSQL")


def stop_past_lease(rng: random.Random) -> str:
    """A worker that freezes until others have taken over, then wakes up unaware."""
    pid = _busy_worker(rng)
    if pid is None:
        return "nobody to stop"
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(settings.LEASE_S * rng.uniform(1.5, 3))  # the fault itself, not a wait
        finally:
            os.kill(pid, signal.SIGCONT)
    return f"stopped worker {pid} past its lease"


def stop_until(rng: random.Random, replaced: Callable[[], None]) -> str:
    """The same, until `replaced` returns: another has surely taken over."""
    pid = _busy_worker(rng)
    if pid is None:
        return "nobody to stop"
    os.kill(pid, signal.SIGSTOP)
    try:
        replaced()
    finally:
        os.kill(pid, signal.SIGCONT)
    return f"stopped worker {pid} past its lease"


def cut_connections(rng: random.Random) -> str:
    """Every connection of one role, in the middle of whatever it does."""
    alias = rng.choice(["default", "system"])
    database = settings.DATABASES[alias]
    with psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        password=database["PASSWORD"],
        dbname=database["NAME"],
    ) as connection:
        cut = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE usename = current_user AND pid <> pg_backend_pid()"
        ).fetchone()
    return f"cut {cut[0] if cut else 0} connections of {database['USER']}"


FAULTS: dict[str, Fault] = {
    "parent": kill_parent,
    "child": kill_child,
    "replica": kill_replica,
    "relay": kill_relay,
    "scheduler": kill_scheduler,
    "control": kill_control,
    "redis": kill_redis,
    "postgres": kill_postgres,
    "stopped": stop_past_lease,
    "connections": cut_connections,
}


def _busy_worker(rng: random.Random, *, kind: Kind = Kind.FINE_TUNE) -> int | None:
    """The process id of a worker with an open attempt."""

    def find() -> list[int]:
        with system_scope():
            rows = Attempt.objects.filter(ended_at__isnull=True, job__kind=kind)
            return sorted(set(rows.values_list("worker__pid", flat=True)))

    found = [pid for pid in sat_out(find) if psutil.pid_exists(pid)]
    return rng.choice(found) if found else None


def _child_of(pid: int | None, rng: random.Random) -> int | None:
    if pid is None:
        return None
    with suppress(psutil.Error):
        found = [
            child.pid
            for child in psutil.Process(pid).children()
            if "workers.tasks.child" in child.cmdline()
        ]
        return rng.choice(sorted(found)) if found else None
    return None


def _service(name: str) -> int | None:
    status = status_read(Layout.current().status_file)
    return status.services[name].pid if status and name in status.services else None


def _kill(pid: int | None, what: str) -> str:
    if pid is None:
        return f"no {what} to kill"
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return f"killed {what} ({pid})"
