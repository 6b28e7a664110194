"""Real supervisors over real PostgreSQL and Redis: started, killed, doubled, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import redis

from saas.runtime.layout import Layout
from saas.runtime.lock import lock_holder
from saas.runtime.ports import HOST, port_answers
from saas.runtime.processes import identify
from saas.runtime.secrets import env_read, port_of
from saas.runtime.status import supervised
from saas.runtime.stop import stop
from tests.saas.runtime.factories import Supervised, descendants, eventually, leftovers


def owner_url(layout: Layout) -> str:
    return env_read(layout.env_file)["DATABASE_OWNER_URL"]


def query(layout: Layout, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(owner_url(layout)) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def keep(layout: Layout, number: int) -> None:
    query(layout, f"DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT {number} AS n")


# all in one expression: the backend looks neither at signals nor at its postmaster meanwhile
BUSY = "SELECT sum(x) FROM (SELECT sqrt(n) AS x FROM generate_series(1, 4000000000) AS n) AS long"


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def database_answers(layout: Layout) -> bool:
    try:
        return query(layout, "SELECT 1") == [(1,)]
    except psycopg.OperationalError:
        return False


def test_starts_stops_and_keeps_what_was_written(used_layout: Layout) -> None:
    # given a system that was started, written to, and stopped
    first = Supervised(used_layout)
    first.start()
    secrets = env_read(used_layout.env_file)
    keep(used_layout, 5)
    store = redis.Redis.from_url(env_read(used_layout.env_file)["REDIS_URL"])
    store.set("word", "here too")
    stop(used_layout, print)
    assert leftovers(used_layout) == []

    # when it starts again
    Supervised(used_layout, port=first.port).start()

    # then secrets, rows and keys are what they were
    assert env_read(used_layout.env_file) == secrets
    assert query(used_layout, "SELECT n FROM kept") == [(5,)]
    assert store.get("word") == b"here too"


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_restarts_a_killed_store_without_losing_what_it_confirmed(
    used_layout: Layout, name: str
) -> None:
    running = Supervised(used_layout)
    running.start()
    keep(used_layout, 7)
    killed = running.service(name)

    # when it is killed without warning
    killed.signal(signal.SIGKILL)

    # then another process takes its place, on the same port, and confirmed rows are there
    eventually(
        lambda: (
            running.status.services[name].pid not in {None, killed.pid}
            and running.status.services[name].state == "running"
        ),
        f"{name} running again",
    )
    assert running.status.services[name].restarts == 1
    assert query(used_layout, "SELECT n FROM kept") == [(7,)]
    assert redis.Redis.from_url(env_read(used_layout.env_file)["REDIS_URL"]).ping()


def test_a_killed_postgres_leaves_no_backend_behind(used_layout: Layout) -> None:
    # given a backend that is busy and so would not notice its postmaster's death for minutes
    running = Supervised(used_layout)
    running.start()
    server = running.service("postgres")
    connection = psycopg.connect(owner_url(used_layout), autocommit=True)
    with ThreadPoolExecutor(1) as thread, contextlib.closing(connection):
        backend = identify(connection.info.backend_pid)
        assert backend is not None
        busy = thread.submit(connection.execute, BUSY)
        eventually(lambda: cpu_ticks(backend.pid) > 20, "busy")
        before = descendants(server)
        assert backend in before

        # when the postmaster is killed
        server.signal(signal.SIGKILL)

        # then every process of its is gone, and the next one serves
        eventually(lambda: not any(each.alive for each in before), "every backend gone")
        assert isinstance(busy.exception(timeout=10), psycopg.OperationalError)
    eventually(lambda: database_answers(used_layout), "answering again")


def test_refuses_a_second_supervisor(used_layout: Layout) -> None:
    running = Supervised(used_layout, only="redis")
    running.start()
    before = running.service("redis")

    said = Supervised(used_layout, only="redis").fail()

    assert f"process {running.status.supervisor.pid} already supervises {used_layout.var}" in said
    assert running.service("redis") == before
    assert before.alive


def test_down_after_kill_9_of_the_supervisor_leaves_no_process_and_no_lock(
    used_layout: Layout,
) -> None:
    # given everything running, and a service stopped so that it cannot die politely
    running = Supervised(used_layout)
    running.start()
    services = [running.service(name) for name in ("postgres", "redis")]
    everyone = [*services, *descendants(services[0])]
    services[1].signal(signal.SIGSTOP)

    # when the supervisor is killed, and then down is called
    running.status.supervisor.signal(signal.SIGKILL)
    assert running.process is not None
    running.process.wait(timeout=10)
    stop(used_layout, print)

    # then nothing of it is left, and the next start finds its way
    assert [each for each in everyone if each.alive] == []
    assert leftovers(used_layout) == []
    Supervised(used_layout).start()
    assert database_answers(used_layout)


def test_the_services_of_a_killed_supervisor_do_not_outlive_it(used_layout: Layout) -> None:
    running = Supervised(used_layout)
    running.start()
    everyone = supervised(used_layout)
    assert len(everyone) >= 2

    running.status.supervisor.signal(signal.SIGKILL)

    eventually(lambda: not any(each.alive for each in everyone), "all gone by themselves")
    assert not port_answers(port_of(owner_url(used_layout)))


def test_starts_over_what_a_killed_supervisor_left(used_layout: Layout) -> None:
    # given a supervisor and its database killed at once: a stale postmaster.pid remains
    first = Supervised(used_layout)
    first.start()
    keep(used_layout, 1)
    database = first.service("postgres")
    first.status.supervisor.signal(signal.SIGKILL)
    database.signal(signal.SIGKILL)
    eventually(lambda: not database.alive, "the database gone")

    # when started again, without a down in between
    Supervised(used_layout).start()

    assert query(used_layout, "SELECT n FROM kept") == [(1,)]


def test_stops_in_order_on_sigterm(used_layout: Layout) -> None:
    running = Supervised(used_layout)
    running.start()
    assert running.process is not None

    os.kill(running.process.pid, signal.SIGTERM)

    said, _ = running.process.communicate(timeout=60)
    assert running.process.returncode == 0, said
    assert leftovers(used_layout) == []
    log = used_layout.log("postgres").read_text()
    assert "received fast shutdown request" in log
    assert "database system is shut down" in log


def test_two_data_folders_run_side_by_side(folder: Path) -> None:
    first, second = Supervised(Layout(folder / "one")), Supervised(Layout(folder / "two"))
    try:
        first.start()
        second.start()
        query(first.layout, "CREATE TABLE only_here (n int)")
        assert query(second.layout, "SELECT to_regclass('only_here')") == [(None,)]

        # when the first stops, the second goes on
        stop(first.layout, print)
        assert leftovers(first.layout) == []
        assert database_answers(second.layout)
    finally:
        stop(first.layout, print)
        stop(second.layout, print)


def test_a_taken_web_port_stops_the_start_with_what_to_do(used_layout: Layout) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]

        said = Supervised(used_layout, port=port).fail()

    assert f"port {port} on {HOST} is taken by process {os.getpid()}" in said
    assert "choose another port with PORT=" in said
    assert "Traceback" not in said
    assert leftovers(used_layout) == [str(used_layout.status_file)]  # which tells `up` the reason


def test_a_store_whose_port_was_taken_meanwhile_moves(used_layout: Layout) -> None:
    Supervised(used_layout).start()
    keep(used_layout, 3)
    stop(used_layout, print)
    old = port_of(owner_url(used_layout))

    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, old))
        other.listen()
        Supervised(used_layout).start()

    assert port_of(owner_url(used_layout)) != old
    assert query(used_layout, "SELECT n FROM kept") == [(3,)]


def test_a_store_that_never_answers_keeps_the_rest_waiting(new_layout: Layout) -> None:
    # given a database that does not let the supervisor in: its superuser's password is another one
    Supervised(new_layout).start()
    stop(new_layout, print)
    new_layout.superuser_file.write_text("not-its-password")

    supervisor = Supervised(new_layout)
    process = supervisor.spawn()
    eventually(lambda: lock_holder(new_layout.lock_file) == process.pid, "supervising")

    # then it never counts as running, and can be stopped at any moment
    eventually(new_layout.status_file.exists, "a status")
    assert supervisor.status.state == "starting"
    stop(new_layout, print)
    assert leftovers(new_layout) == []
