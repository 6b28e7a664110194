"""Starting it: in a thread for most tests, as a process where it is to be killed."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from saas.runtime.layout import ROOT
from tests.stripe_server.control import Control
from tests.stripe_server.server import StripeServer
from tests.stripe_server.webhooks import Endpoint


@contextmanager
def stripe_server(*, webhooks: Endpoint | None = None) -> Iterator[Control]:
    """A server in this process, with nothing in it."""
    server = StripeServer(webhooks=webhooks)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True, name="stripe")
    thread.start()
    try:
        yield Control(server.url)
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Process:
    """A server in a process of its own, whose state outlives it."""

    port: int
    state: Path
    running: subprocess.Popen[str] | None = None

    def start(self) -> Control:
        """Start it, or start it again; returns once it listens."""
        command = [sys.executable, "-m", "tests.stripe_server", "--port", str(self.port)]
        self.running = subprocess.Popen(
            [*command, "--state", str(self.state)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self.running.stdout is not None
        said = self.running.stdout.readline()
        assert said.startswith("listening on "), said
        return Control(said.removeprefix("listening on ").strip())

    def kill(self) -> None:
        """As by SIGKILL: nothing is said goodbye to."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()
            assert self.running.stdout is not None
            self.running.stdout.close()
