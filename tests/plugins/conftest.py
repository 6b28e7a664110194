"""One sandbox folder for the run, and hosts over it that need neither database nor Redis."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from plugins.host.calls import PluginHost
from plugins.host.catalog import Plugin, catalog_make, discover
from plugins.host.environments import wheel_install
from plugins.host.facts import Level, Limits
from plugins.host.isolated import Isolated
from plugins.host.pool import Pool
from plugins.host.sandbox import Probed, Sandbox
from tests.plugins.wheels import manifest, wheel_make

LEVELS: tuple[Level, ...] = get_args(Level)
LIMITS = Limits(
    memory=1024**3, file=32 * 1024**2, folder=48 * 1024**2, output=1024**2, call_s=5.0, cancel_s=0.3
)
SCHEMA = '\n[settings]\ntype = "object"\nrequired = ["act"]\n'


def strongest_of(sandboxes: dict[str, Sandbox]) -> Level:
    """The level that partners' plugins run at here; "none" where no level holds."""
    return next((level for level in LEVELS if sandboxes[level].probe(level).holds), "none")


def probed_at(sandboxes: dict[str, Sandbox], level: Level) -> Probed:
    """A level as it is here; skips the test where this machine has no such thing."""
    probed = sandboxes[level].probe(level)
    if probed.reason:
        assert not offered(level), f"this machine offers {level}: {probed.reason}"
        pytest.skip(f"{level}: {probed.reason}")
    return probed


def offered(level: Level) -> bool:
    """Whether this machine has what a level needs, asked without any code of ours."""
    if level == "seccomp_landlock":
        create_ruleset, version = 444, 1  # landlock(7)
        libc = ctypes.CDLL(None)
        return bool(libc.syscall(create_ruleset, None, ctypes.c_size_t(0), version) > 0)
    asks = {
        "bubblewrap": ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"],
        "namespaces": ["unshare", "--mount", "--ipc", "--net", "true"],
        "none": ["true"],
    }
    ask = asks[level]
    ordinary: dict[str, Any] = {}
    if os.getuid() != 0 and level == "namespaces":
        ask = [ask[0], "--user", "--map-current-user", *ask[1:]]
    elif level == "bubblewrap" and os.getuid() == 0:  # an ordinary user id is to be allowed to
        ordinary = {"user": 65534, "group": 65534, "extra_groups": []}
    if shutil.which(ask[0]) is None:
        return False
    done = subprocess.run(ask, check=False, capture_output=True, cwd="/", **ordinary)
    return bool(done.returncode == 0)


@pytest.fixture(scope="session")
def reachable() -> Iterator[Path]:
    """A folder that ordinary user ids reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="plugins-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sandboxes(reachable: Path) -> dict[str, Sandbox]:
    """One for each level; they share a runtime, made once."""
    made = Sandbox(reachable).runtime
    return {
        level: Sandbox(reachable, level=level, accept_risk=True, limits=LIMITS, made=made)
        for level in LEVELS
    }


@pytest.fixture(
    params=["strongest", *(pytest.param(level, marks=pytest.mark.slow) for level in LEVELS)]
)
def sandbox(request: pytest.FixtureRequest, sandboxes: dict[str, Sandbox]) -> Sandbox:
    """Every day at the strongest level that holds here, else at each."""
    level = strongest_of(sandboxes) if request.param == "strongest" else request.param
    probed_at(sandboxes, level)
    return sandboxes[level]


@pytest.fixture(scope="session")
def hostile(reachable: Path) -> Plugin:
    code = (Path(__file__).parent / "host" / "hostile.py").read_text()
    wheel = wheel_make(reachable, "hostile", code, toml=manifest("hostile") + SCHEMA)
    wheel_install(wheel, reachable / "hostile")
    (found,) = discover(reachable / "hostile", "isolated")
    assert isinstance(found, Plugin)
    return replace(found)


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


@pytest.fixture
def host_of(pool: Pool) -> Callable[..., PluginHost]:
    """A host of given plugins over a given sandbox."""

    def make(sandbox: Sandbox, *plugins: Plugin, **more: Any) -> PluginHost:
        catalog = catalog_make(plugins, platform_version="0.1.0")
        assert not catalog.refused
        return PluginHost(catalog, Isolated(sandbox, pool, more.pop("lent", None)), **more)

    return make
