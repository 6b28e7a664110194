"""The checks that read a wheel and run nothing of it."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

import plugins.sdk
from plugins.host.catalog import Plugin, catalog_make, discover
from plugins.host.environments import wheel_install
from plugins.host.errors import WheelRefused
from plugins.host.settings import schema_wrong
from plugins.kit.report import Check, Verdict
from plugins.sdk.manifest import Manifest

PLATFORM = frozenset({"saas", "tenants", "workers", "plugins"})


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def package_read(
    wheel: Path, site: Path, *, platform_version: str, provided: Mapping[str, str]
) -> tuple[Plugin | None, list[Check]]:
    """Unpack into `site`, which must not exist; the plugin is None where it cannot be run."""
    try:
        wheel_install(wheel, site)
    except WheelRefused as error:
        return None, [_check(wheel.name, "failed", str(error))]
    found = discover(site, "isolated")
    if len(found) != 1:
        said = "one entry point in the group breakwater.plugins is needed, one wheel a plugin"
        return None, [_check(wheel.name, "failed", f"{said}; it has {len(found)}")]
    catalog = catalog_make(found, platform_version=platform_version, provided=provided)
    if catalog.refused:
        refused = catalog.refused[0]
        return None, [_check(refused.name, "failed", refused.reason)]
    (plugin,) = catalog.plugins
    manifest = plugin.manifest
    checks = [
        _check("plugin.toml", "passed", f"{manifest.name} {manifest.version}"),
        _licence(manifest),
        _settings(manifest),
        *_imports(site, plugin),
    ]
    return plugin, checks


def _licence(manifest: Manifest) -> Check:
    try:
        expression = canonicalize_license_expression(manifest.licence)
    except InvalidLicenseExpression as error:
        said = f"{error}; write an SPDX expression, or LicenseRef- and a name of your own"
        return _check("licence", "failed", said)
    return _check("licence", "passed", str(expression))


def _settings(manifest: Manifest) -> Check:
    if not manifest.settings:
        return _check("settings", "skipped", "it has none")
    if manifest.settings.get("type") != "object":
        return _check("settings", "failed", 'the schema is not of type = "object"')
    if wrong := schema_wrong(manifest.settings):
        return _check("settings", "failed", wrong)
    return _check("settings", "passed", "a JSON Schema of an object")


def _imports(site: Path, plugin: Plugin) -> Iterator[Check]:
    """What the plugin's own package imports of ours: only what the SDK promises."""
    package = site / plugin.package
    paths = sorted(package.rglob("*.py")) if package.is_dir() else [package.with_suffix(".py")]
    wrong = [f"{path.relative_to(site)}: {said}" for path in paths for said in _strangers(path)]
    for said in wrong:
        yield _check("imports", "failed", said)
    if not wrong:
        yield _check("imports", "passed", "of ours, nothing but what plugins.sdk promises")


def _strangers(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        yield f"no Python: {error}"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] in PLATFORM and not _promised(name):
                yield f"line {node.lineno} imports {name}, which plugins.sdk does not promise"


def _promised(name: str) -> bool:
    if name == "plugins.sdk":
        return True
    module, _, attribute = name.rpartition(".")
    return module == "plugins.sdk" and attribute in {"*", *plugins.sdk.__all__}


def _check(subject: str, verdict: Verdict, message: str) -> Check:
    return Check("package", subject, verdict, message)
