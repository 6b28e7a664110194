"""A module of the engine in a process of its own, so that torch stays out of this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tenants.kernel.errors import Unavailable

_KEPT = ("PATH", "LANG", "TMPDIR", "HOME")


def engine_run(
    module: str, *arguments: str, hear: Callable[[Mapping[str, Any]], None], failure: str
) -> None:
    """Run `module`, and `hear` its lines of JSON.

    Raises Unavailable: `failure` in words, and the last lines that the module wrote.
    """
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    said: deque[str] = deque(maxlen=20)
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=Path(__file__).parents[2],
        env=environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        for line in child.stdout or ():
            if line.startswith("{"):
                hear(json.loads(line))
            said.append(line)
    if child.returncode != 0:
        raise Unavailable(f"{failure} (exit {child.returncode}): {''.join(said)}")
