"""Worker processes beside the supervised ones, so that somebody can take over."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field

from saas.runtime.layout import ROOT, Layout
from saas.runtime.processes import MARK


@dataclass
class SpareWorker:
    """A worker on `queue`; `revive` starts it again where a fault has ended it."""

    name: str
    queue: str
    settings_module: str = "saas.settings"
    slots: int = 2
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def revive(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        command = [sys.executable, "-m", "celery", "-A", "saas.celery", "worker"]
        options = [
            "-Q",
            self.queue,
            "-P",
            "threads",
            "-c",
            str(self.slots),
            "-n",
            f"{self.name}@%h",
        ]
        with Layout.current().log(self.name).open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *options, "--without-gossip", "--without-mingle"],
                cwd=ROOT,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": self.settings_module,
                    MARK: str(Layout.current().var),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
