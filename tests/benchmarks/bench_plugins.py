"""Isolation's price: a warm call, a cold start, and a hook call at fifty trusted plugins."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

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
        starts, child = [], sandbox.start(program)
        for _ in range(20):
            child.close()
            began = time.perf_counter()
            child = sandbox.start(program)
            starts.append(time.perf_counter() - began)
        calls = []
        for _ in range(1000):
            began = time.perf_counter()
            child.call({"hook": "services", "args": {}}, timeout=5.0)
            calls.append(time.perf_counter() - began)
        child.close()
        fifty = _fifty(Isolated(sandbox, Pool()))
    return {
        "level": level,
        "cold_start_ms_median": statistics.median(starts) * 1000,
        "warm_call_ms_median": statistics.median(calls) * 1000,
        "fifty_trusted_ms_median": fifty * 1000,
    }


def _fifty(isolated: Isolated) -> float:
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
    times = []
    for _ in range(200):
        began = time.perf_counter()
        outcomes = host.call("services", {}, tenant="t", enabled=enabled)
        times.append(time.perf_counter() - began)
        assert len(outcomes) == 50
        assert not any(outcome.failure for outcome in outcomes)
    return statistics.median(times)
