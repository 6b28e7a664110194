"""A plugin that tries what a sandbox should stop, and says what was stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from plugins.sdk.contracts import StepResult
from plugins.sdk.markers import hookimpl
from plugins.sdk.work import Work


def _files(_port: int) -> None:
    Path("/etc/passwd").read_bytes()


def _network(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=1.0).close()


def _processes(_port: int) -> None:
    subprocess.run(["/bin/true"], check=False)
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _signals(_port: int) -> None:
    os.kill(os.getppid(), 0)


def _root(_port: int) -> None:
    if os.getuid() != 0:
        raise PermissionError("an ordinary user id")


def _debugging(_port: int) -> None:
    Path(f"/proc/{os.getppid()}/environ").read_bytes()


ACTS: dict[str, Callable[[int], None]] = {
    "files": _files,
    "network": _network,
    "processes": _processes,
    "signals": _signals,
    "root": _root,
    "debugging": _debugging,
}


@hookimpl
def prepare_dataset(work: Work) -> StepResult:
    port = int(work.settings["port"])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return StepResult(figures={name: _stopped(act, port) for name, act in ACTS.items()})


def _stopped(act: Callable[[int], None], port: int) -> bool:
    try:
        act(port)
    except OSError:
        return True
    return False
