"""The platform's own process is killed by SIGKILL: what it started confined ends with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from plugins.host.sandbox import Sandbox
from tests.architecture.sources import ROOT

HOST = """
import json, sys
from pathlib import Path
from plugins.host.process import Program
from plugins.host.runtime import Runtime
from plugins.host.sandbox import Sandbox

given = json.loads(sys.argv[1])
made = Runtime.from_json(given["runtime"])
sandbox = Sandbox(Path(given["folder"]), level=given["level"], accept_risk=True, made=made)
child = sandbox.start(Program("hangs", "hangs", (given["site"],), (given["site"],)))
child.call({"hook": "services", "args": {}}, timeout=60.0)
"""
HANGS = """
import time
from pathlib import Path
from plugins.sdk import hookimpl

def hang():
    Path("%s").touch()
    time.sleep(600)

@hookimpl
def services():
    hang()
"""


@pytest.mark.parametrize("code", [HANGS, HANGS + "\nhang()\n"], ids=["in_a_call", "on_import"])
def test_a_plugin_that_hangs_ends_with_its_host(
    sandbox: Sandbox, reachable: Path, tmp_path: Path, code: str
) -> None:
    site = reachable / f"hangs-{tmp_path.name}"
    site.mkdir()
    (site / "hangs.py").write_text(code % site.name)
    made = sandbox.runtime
    given = {"runtime": made.to_json(), "folder": str(sandbox.folder)}
    given |= {"level": str(sandbox.level), "site": str(site)}
    host = subprocess.Popen([sys.executable, "-c", HOST, json.dumps(given)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not list(made.folder.parent.glob(f"child-*/private/{site.name}")):
        assert host.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    started = psutil.Process(host.pid).children(recursive=True)
    assert started
    os.kill(host.pid, signal.SIGKILL)
    host.wait()
    _, left = psutil.wait_procs(started, timeout=10.0)
    assert [each for each in left if each.status() != psutil.STATUS_ZOMBIE] == []
