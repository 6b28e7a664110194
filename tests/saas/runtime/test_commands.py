"""`manage.py up` and `down` as a person types them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from saas.runtime.layout import ROOT, Layout
from saas.runtime.ports import HOST, port_answers
from saas.runtime.processes import MARK, identify
from saas.runtime.secrets import DATABASE_KEYS
from saas.runtime.start import start, stop_outdated
from saas.runtime.status import status_read
from tests.saas.runtime.factories import Supervised, leftovers
from tests.servers import System


def manage(layout: Layout, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` without a home, without input, without any settings but the data folder."""
    own = {"PATH": os.environ["PATH"], "HOME": "", "BREAKWATER_VAR": str(layout.var)}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_down_where_nothing_ever_ran(folder: Path) -> None:
    done = manage(Layout(folder / "var"), "down")
    assert done.returncode == 0, done.stderr
    assert "nothing runs" in done.stdout
    assert not (folder / "var").exists()


def test_up_on_a_taken_port_says_what_to_do_and_leaves_nothing(folder: Path) -> None:
    layout = Layout(folder / "var")
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        done = manage(layout, "up", "--port", str(port))
    assert done.returncode != 0
    assert f"port {port} on {HOST} is taken by process {os.getpid()}" in done.stderr
    assert "PORT=" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert manage(layout, "down").returncode == 0
    assert leftovers(layout) == []


def test_up_in_a_folder_that_cannot_be_written(folder: Path) -> None:
    (folder / "var").write_text("a file")
    done = manage(Layout(folder / "var"), "up")
    assert done.returncode != 0
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_bootstrap_without_a_superuser_says_what_to_set(folder: Path) -> None:
    done = manage(Layout(folder / "var"), "bootstrap")
    assert done.returncode != 0
    assert "DATABASE_SUPERUSER_URL" in done.stderr
    assert all(key not in done.stderr for key in DATABASE_KEYS)


def test_up_after_a_change_of_the_code_stops_what_still_runs_the_old(
    new_layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Supervised(new_layout, only="redis")
    running.start()
    said: list[str] = []
    stop_outdated(new_layout, said.append, None)
    assert said == []

    newer = running.status.code + 1
    monkeypatch.setattr("saas.runtime.start.code_changed", lambda: newer)
    stop_outdated(new_layout, said.append, None)

    assert "the code has changed since the start" in said[0]
    assert leftovers(new_layout) == []


@pytest.mark.demo
def test_up_again_reuses_what_runs(system: System) -> None:
    before = status_read(system.layout.status_file)
    assert before is not None

    said: list[str] = []
    after = start(system.layout, said.append)

    assert "already supervised" in said[0]
    assert after == before


@pytest.mark.demo
def test_up_on_another_port_than_what_runs_is_refused(system: System) -> None:
    done = manage(system.layout, "up", "--port", "1")
    assert done.returncode != 0
    assert "make down" in done.stderr


@pytest.mark.demo
def test_every_service_carries_the_mark_of_its_data_folder(system: System) -> None:
    status = status_read(system.layout.status_file)
    assert status is not None
    expected = {"postgres", "redis", "web", "relay", "scheduler"}
    assert expected <= {name for name, each in status.services.items() if each.identity}
    for identity in status.identities:
        assert identify(identity.pid) == identity
        mark = f"{MARK}={system.layout.var}".encode()
        assert mark in Path(f"/proc/{identity.pid}/environ").read_bytes().split(b"\0")
    assert port_answers(status.port)
