"""The engine, asked in a child process: nothing here may load torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

from saas.doctor.findings import Finding, failed, good, warning
from saas.settings.environment import ROOT

_ASK = (
    "import json, torch; from workers.engine.devices import describe; "
    "print(json.dumps({'torch': torch.__version__, 'cuda': torch.version.cuda, **describe()}))"
)
_SLOW_ISA = {"DEFAULT", "NO AVX"}


@cache
def engine_facts() -> dict[str, Any]:
    """Return torch's build and this machine's devices. Raises RuntimeError with torch's reason."""
    child = subprocess.run(
        [sys.executable, "-c", _ASK],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if child.returncode != 0:
        raise RuntimeError((child.stderr.strip() or "no reason given").splitlines()[-1])
    facts: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return facts


def engine_check() -> Iterator[Finding]:
    """torch loads, and uses this processor's vector instructions."""
    try:
        facts = engine_facts()
    except RuntimeError as error:
        yield failed("engine", f"torch does not load: {error}", "run: make up (it installs torch)")
        return
    build = f"torch {facts['torch']}, {facts['isa']}, {facts['cores']} cores"
    memory = f"{facts['memory_bytes'] / 1e9:.0f} GB"
    if facts["isa"] in _SLOW_ISA:
        yield warning("engine", f"{build}: no AVX2", "training is many times faster with AVX2")
    else:
        yield good("engine", f"{build}, {memory}")
