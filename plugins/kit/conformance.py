"""`conformance_check`: one wheel, installed and run as a partner's, and the report on it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from plugins.host.catalog import Plugin
from plugins.host.environments import provided_link, provided_versions
from plugins.host.errors import SandboxUnavailable
from plugins.host.pool import Pool
from plugins.host.sandbox import Sandbox
from plugins.kit.checks.samples import samples
from plugins.kit.checks.signatures import signatures
from plugins.kit.package import package_read, sha256_of
from plugins.kit.report import Check, Report
from plugins.kit.stand import Stand
from plugins.sdk.version import SDK_VERSION


def conformance_check(
    wheel: Path,
    *,
    sandbox: Sandbox,
    platform_version: str,
    told: Callable[[Check], None] = lambda _: None,
) -> Report:
    """Never raises for the plugin's sake: whatever it does is in the report.

    `told` hears each check as it is made.
    """
    folder = Path(tempfile.mkdtemp(prefix="conformance-", dir=sandbox.folder))
    folder.chmod(0o755)
    try:
        return _report(wheel, folder, sandbox, platform_version, told)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _report(
    wheel: Path,
    folder: Path,
    sandbox: Sandbox,
    platform_version: str,
    told: Callable[[Check], None],
) -> Report:
    versions = provided_versions()
    plugin, read = package_read(
        wheel, folder / "site", platform_version=platform_version, provided=versions
    )
    level = ""
    lacking: tuple[str, ...] = ()
    checks: list[Check] = []

    def keep(found: Iterable[Check]) -> None:
        for check in found:
            checks.append(check)
            told(check)

    keep(read)
    if plugin is not None:
        try:
            chosen = sandbox.chosen()
            level, lacking = chosen.level, tuple(sorted(chosen.not_enforced))
        except SandboxUnavailable as error:
            keep([Check("isolation", "level", "failed", str(error))])
        else:
            keep([_level(level, chosen.enforced)])
            keep(_run(plugin, folder, sandbox, versions))
    return Report(
        plugin=plugin.name if plugin else wheel.name.split("-")[0],
        version=plugin.version if plugin else "",
        licence=plugin.manifest.licence if plugin else "",
        wheel=wheel.name,
        sha256=sha256_of(wheel) if wheel.is_file() else "",
        sdk=SDK_VERSION,
        platform=platform_version,
        level=level,
        not_enforced=lacking,
        checks=tuple(checks),
    )


def _level(level: str, enforced: frozenset[str]) -> Check:
    stopped = ", ".join(sorted(enforced)) or "nothing"
    return Check("isolation", "level", "passed", f"{level}, measured to stop: {stopped}")


def _run(
    plugin: Plugin, folder: Path, sandbox: Sandbox, versions: Mapping[str, str]
) -> Iterator[Check]:
    """The samples' checks only where all before them passed."""
    pool = Pool()
    try:
        lent = provided_link(folder / "lent", versions)
        stand = Stand(plugin, sandbox, pool, lent, folder)
        passed = True
        for check in signatures(stand):
            passed = passed and check.verdict == "passed"
            yield check
        if passed:
            yield from samples(stand)
    finally:
        pool.close()
