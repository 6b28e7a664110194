"""Isolation's price: a warm call, a cold start, and a hook call at fifty trusted plugins.

By the clock, and by the processor's time of all processes involved, which a loaded machine leaves
as it is: where they differ by much, others were at work. The three are measured in turns.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from plugins.host.calls import PluginHost
from plugins.host.catalog import Catalog, Plugin
from plugins.host.facts import Enabled
from plugins.host.isolated import Isolated
from plugins.host.pool import Pool
from plugins.host.process import Program
from plugins.host.sandbox import Sandbox
from plugins.sdk import Service, hookimpl
from plugins.sdk.manifest import Manifest

CODE = """
from plugins.sdk import hookimpl

@hookimpl
def services():
    return ()
"""


ROUNDS, CALLS = 20, 50  # calls a round


def main() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        sandbox = Sandbox(folder)
        site = folder / "site"
        site.mkdir()
        (site / "small.py").write_text(CODE)
        program = Program("small", "small", (str(site),), (str(site),))
        level = sandbox.chosen().level
        fifty = _fifty(Isolated(sandbox, Pool()))
        sandbox.start(program).close()
        rounds = [_round(sandbox, program, fifty) for _ in range(ROUNDS)]
    names = ("cold_start", "cold_start_cpu", "warm_call", "warm_call_cpu", "fifty_trusted")
    medians = {
        f"{name}_ms_median": statistics.median(each) * 1000
        for name, each in zip(names, zip(*rounds, strict=True), strict=True)
    }
    return {"level": level, "load_average_1m": os.getloadavg()[0], **medians}


def _round(sandbox: Sandbox, program: Program, fifty: Callable[[], None]) -> tuple[float, ...]:
    """Seconds: a start by the clock and by processor, a warm call by both, a call of fifty."""
    began, ours = time.perf_counter(), time.process_time()
    child = sandbox.start(program)
    cold = time.perf_counter() - began
    started = time.process_time() - ours + _tree_s(child.pid)
    calls = []
    for _ in range(CALLS):
        before = time.perf_counter()
        child.call({"hook": "services", "args": {}}, timeout=5.0)
        calls.append(time.perf_counter() - before)
    called = time.process_time() - ours + _tree_s(child.pid) - started
    child.close()
    before = time.perf_counter()
    fifty()
    hook = time.perf_counter() - before
    return cold, started, statistics.median(calls), called / CALLS, hook


def _tree_s(pid: int) -> float:
    """Processor time of a process, its threads and its descendants; finer than stat tells it."""
    processes = [pid, *(each.pid for each in psutil.Process(pid).children(recursive=True))]
    tasks = [task for one in processes for task in Path(f"/proc/{one}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _fifty(isolated: Isolated) -> Callable[[], None]:
    """A call of one hook at fifty trusted plugins that a tenant enabled."""
    plugins = []
    for number in range(50):
        name = f"trusted_{number:02}"
        module = types.ModuleType(name)

        def services() -> tuple[Service, ...]:
            return ()

        module.services = hookimpl(services)  # type: ignore[attr-defined]
        sys.modules[name] = module
        manifest = Manifest(name, "1", "a", "MIT", "c", "services", "0.1", "1")
        plugins.append(Plugin(manifest, name, "trusted"))
    host = PluginHost(Catalog(tuple(plugins)), isolated)
    enabled = [Enabled(plugin.name) for plugin in plugins]

    def call() -> None:
        outcomes = host.call("services", {}, tenant="t", enabled=enabled)
        assert len(outcomes) == 50
        assert not any(outcome.failure for outcome in outcomes)

    return call
