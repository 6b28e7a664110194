"""A whole supervised system to break, and a driver process that breaks it from inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from saas.runtime.layout import ROOT, Layout
from saas.runtime.ports import free_port
from saas.runtime.start import start
from saas.runtime.stop import stop

# A short lease, so that a round has time for many takings-over.
SETTINGS = {"LEASE_S": "3", "HINT_EVERY_S": "1", "REAP_EVERY_S": "0.5", "RECONCILE_EVERY_S": "1"}


@dataclass(frozen=True)
class Driver:
    """A process with the system's own settings; it is asked by lines of JSON."""

    process: subprocess.Popen[str]

    def ask(self, **question: Any) -> Any:
        """Put a question and return its answer. Fails the test where the driver failed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the driver ended ({self.process.wait()}) over {question}"
        return json.loads(line)


@contextmanager
def broken_system(layout: Layout, *, broker_url: str | None) -> Iterator[Driver]:
    """Start a system in `layout` and yield its driver; leave no process of either behind."""
    environment = SETTINGS | ({"BROKER_URL": broker_url} if broker_url else {})
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    quiet: list[str] = []
    try:
        start(layout, quiet.append, port=free_port())
        with _driver(layout, environment) as driver:
            yield driver
    finally:
        stop(layout, quiet.append)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


@contextmanager
def _driver(layout: Layout, environment: dict[str, str]) -> Iterator[Driver]:
    log = layout.log("driver").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.driver"],
        cwd=ROOT,
        env={**os.environ, **environment, "BREAKWATER_VAR": str(layout.var)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    with log:
        try:
            yield Driver(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
