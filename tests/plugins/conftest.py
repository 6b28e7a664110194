"""One sandbox folder for the run, and hosts over it that need neither database nor Redis."""

from __future__ import annotations

import shutil
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
from plugins.host.sandbox import Sandbox
from tests.plugins.wheels import manifest, wheel_make

LEVELS: tuple[Level, ...] = get_args(Level)
LIMITS = Limits(
    memory=1024**3, file=32 * 1024**2, folder=48 * 1024**2, output=1024**2, call_s=5.0, cancel_s=0.3
)
SCHEMA = '\n[settings]\ntype = "object"\nrequired = ["act"]\n'


def strongest_of(sandboxes: dict[str, Sandbox]) -> Level:
    """The level that partners' plugins run at here; "none" where no level holds."""
    return next((level for level in LEVELS if sandboxes[level].probe(level).holds), "none")


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
