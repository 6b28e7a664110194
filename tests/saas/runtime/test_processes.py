"""Processes told apart by more than a number, and ended however they resist."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from saas.runtime.processes import MARK, Identity, end, family, identify, marked
from tests.saas.runtime.factories import eventually

STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that ignores SIGTERM, with a child in a session of its own, both marked."""
    env = {**os.environ, MARK: str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], env=env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    end(marked(tmp_path), polite_s=0)
    process.wait(timeout=10)
    process.stdout.close()


def test_another_process_of_the_same_number_is_not_it() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert me.alive
    assert not Identity(me.pid, me.started - 1).alive


def test_a_zombie_is_not_alive() -> None:
    process = subprocess.Popen(["/bin/true"])
    identity = identify(process.pid)
    eventually(lambda: identify(process.pid) is None, "a zombie, not reaped yet", limit_s=10)
    process.wait()
    assert identity is None or not identity.alive


def test_finds_marked_processes_and_their_descendants(
    stubborn: subprocess.Popen[str], tmp_path: Path
) -> None:
    found = {each.pid for each in marked(tmp_path)}
    root = identify(stubborn.pid)
    assert root is not None
    assert stubborn.pid in found
    assert len(found) == 2
    assert {each.pid for each in family([root])} == found
    assert marked(tmp_path / "other") == []


def test_never_finds_itself_or_its_ancestors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # given this very process run as a child of a marked one
    script = "from saas.runtime.processes import marked; from pathlib import Path; import sys;"
    script += "print(marked(Path(sys.argv[1])))"
    monkeypatch.setenv(MARK, str(tmp_path))
    nested = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {script!r}, sys.argv[1]])"
    )

    said = subprocess.run(
        [sys.executable, "-c", nested, str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert said.stdout == "[]\n", said.stderr


@pytest.mark.parametrize("stopped", [False, True])
def test_ends_what_ignores_sigterm_or_is_stopped(
    stubborn: subprocess.Popen[str], tmp_path: Path, *, stopped: bool
) -> None:
    before = marked(tmp_path)
    if stopped:
        os.kill(stubborn.pid, signal.SIGSTOP)

    assert end(before, polite_s=0.2) == []

    assert not any(each.alive for each in before)
    assert stubborn.wait(timeout=10) == -signal.SIGKILL
