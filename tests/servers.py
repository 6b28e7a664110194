"""Real processes that tests talk to over HTTP: a web process, the whole system, its demo."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from saas.runtime.layout import ROOT, Layout
from saas.runtime.logs import tail
from saas.runtime.ports import HOST, free_port
from saas.runtime.running import spawn
from saas.runtime.secrets import env_read
from saas.runtime.services import web_answers, web_service
from saas.runtime.start import start
from saas.runtime.stop import stop
from saas.runtime.stripe import CHOICE, LOCAL

START_LIMIT_S = 90.0


@dataclass(frozen=True)
class System:
    """A supervised system of its own; `layout` leads to its logs, process ids and settings."""

    layout: Layout
    base_url: str

    def manage(self, *arguments: str) -> str:
        """Run `manage.py` against it; return what it prints. Fails the test where it fails."""
        return self._run(sys.executable, str(ROOT / "manage.py"), *arguments)

    def make(self, *arguments: str) -> str:
        """Run a target of the Makefile against it, in this Python's environment as it is."""
        where = (f"VAR={self.layout.var}", f"VENV={sys.prefix}")
        return self._run("make", "-C", str(ROOT), "-o", "install", *where, *arguments)

    def _run(self, *command: str, limit_s: float = 600.0) -> str:
        done = subprocess.run(
            command,
            env={**os.environ, "BREAKWATER_VAR": str(self.layout.var)},
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def running_web(layout: Layout) -> Iterator[str]:
    """Serve `saas.asgi` on the test run's database; yield the address."""
    port = int(env_read(layout.env_file)["BREAKWATER_PORT"])
    log = layout.log("web")
    pid = spawn(web_service(port), env={**os.environ, "PYTHONPATH": str(ROOT)}, log=log)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not web_answers(port):
            gone = os.waitpid(pid, os.WNOHANG)[0]
            assert not gone, f"the web process ended:\n{tail(log, 40)}"
            assert time.monotonic() < deadline, f"the web does not answer:\n{tail(log, 40)}"
            time.sleep(0.05)
        yield f"http://{HOST}:{port}"
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


@contextmanager
def running_system(layout: Layout) -> Iterator[System]:
    """Start everything in a data folder of its own, and leave no process of it behind."""
    quiet: list[str] = []
    stop(layout, quiet.append)
    _empty(layout)
    try:
        with patch.dict(os.environ, {CHOICE: LOCAL}):  # kept in the data folder from then on
            status = start(layout, quiet.append, port=free_port())
        yield System(layout, f"http://{HOST}:{status.port}")
    finally:
        stop(layout, quiet.append)


def _empty(layout: Layout) -> None:
    """Forget an earlier run's rows and secrets; keep its base models, which take minutes."""
    pointer = layout.var / "postgres.home"
    if pointer.is_file():
        shutil.rmtree(pointer.read_text().strip())
    for path in layout.var.iterdir() if layout.var.is_dir() else ():
        if path.is_dir() and path.name != "models":
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def told_demo(system: System) -> dict[str, Any]:
    """Run the demo to its end; return what it left for scripts in `demo.json`."""
    system.make("demo")
    found: dict[str, Any] = json.loads((system.layout.var / "demo.json").read_text())
    return found
