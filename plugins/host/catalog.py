"""Which plugins there are, found by their metadata alone, and why each refused one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from plugins.sdk.errors import ManifestError
from plugins.sdk.manifest import ENTRY_POINTS, FILE_NAME, Manifest, manifest_read
from plugins.sdk.version import SDK_VERSION


@dataclass(frozen=True)
class Plugin:
    """A plugin that may be called. `site` is its environment; None for a built-in."""

    manifest: Manifest
    entry: str
    mode: Literal["trusted", "isolated"]
    site: Path | None = None
    builtin: bool = False

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def package(self) -> str:
        """The name of its top-level package, which holds `plugin.toml`."""
        return self.entry.partition(":")[0].partition(".")[0]


@dataclass(frozen=True)
class Refused:
    """A plugin that is not called, and what its author or operator must do about it."""

    name: str
    reason: str


@dataclass(frozen=True)
class Catalog:
    """Plugins in the order in which they are called, and those refused."""

    plugins: tuple[Plugin, ...]
    refused: tuple[Refused, ...] = ()

    def named(self, name: str) -> Plugin | None:
        return next((plugin for plugin in self.plugins if plugin.name == name), None)


def catalog_make(
    found: Iterable[Plugin | Refused],
    *,
    platform_version: str,
    provided: Mapping[str, str] | None = None,
) -> Catalog:
    """Check what was discovered, as a whole. Never raises for a plugin's sake.

    `provided` are the libraries that the platform lends to children: name → version.
    """
    candidates, refused = [], []
    lent = {
        **{str(canonicalize_name(name)): number for name, number in (provided or {}).items()},
        "breakwater": platform_version,
        "breakwater-plugin-sdk": SDK_VERSION,
        "pluggy": version("pluggy"),
    }
    for each in found:
        reason = _unfit(each, platform_version, lent) if isinstance(each, Plugin) else each.reason
        if reason is None and isinstance(each, Plugin):
            candidates.append(each)
        else:
            refused.append(Refused(each.name, str(reason)))
    candidates.sort(key=lambda plugin: (not plugin.builtin, plugin.name))
    kept: list[Plugin] = []
    for plugin in candidates:
        reason = _conflict(plugin, kept)
        if reason is None:
            kept.append(plugin)
        else:
            refused.append(Refused(plugin.name, reason))
    return Catalog(tuple(kept), tuple(sorted(refused, key=lambda each: each.name)))


def discover(site: Path, mode: Literal["trusted", "isolated"]) -> list[Plugin | Refused]:
    """Read the plugins of one environment without importing a line of it."""
    found: list[Plugin | Refused] = []
    for installed in distributions(path=[str(site)]):
        for entry in installed.entry_points.select(group=ENTRY_POINTS):
            try:
                manifest = _manifest(installed, entry)
            except (ManifestError, OSError, UnicodeError) as error:
                found.append(Refused(entry.name, str(error)))
                continue
            if manifest.name != entry.name:
                reason = f"plugin.toml says {manifest.name!r}, the entry point {entry.name!r}"
                found.append(Refused(entry.name, reason))
            elif manifest.version != installed.version:
                reason = f"plugin.toml says {manifest.version}, the wheel {installed.version}"
                found.append(Refused(entry.name, reason))
            else:
                found.append(Plugin(manifest, entry.value, mode, site))
    return found


def _manifest(installed: Distribution, entry: EntryPoint) -> Manifest:
    if EntryPoint.pattern.match(entry.value) is None:
        raise ManifestError(f"the entry point {entry.value!r} names no module")
    package = entry.module.split(".", maxsplit=1)[0]
    path = Path(str(installed.locate_file(package))) / FILE_NAME
    if not path.is_file():
        raise ManifestError(f"the wheel has no {path.parent.name}/{FILE_NAME}")
    return manifest_read(path.read_text("utf-8"))


def _unfit(plugin: Plugin, platform_version: str, lent: Mapping[str, str]) -> str | None:
    least, greatest = plugin.manifest.least_platform, plugin.manifest.greatest_platform
    ours = Version(platform_version)
    if ours < Version(least):
        return f"needs platform {least} or later; this is {platform_version}"
    places = len(greatest.split("."))
    if ours.release[:places] > Version(greatest).release:
        return f"knows platforms up to {greatest}; this is {platform_version}"
    if plugin.site is not None and (missing := _missing(plugin.site, lent)):
        return f"its dependency {missing} is neither in its environment nor lent by the platform"
    return None


def _missing(site: Path, lent: Mapping[str, str]) -> str | None:
    installed = {
        str(canonicalize_name(each.metadata["Name"])): each
        for each in distributions(path=[str(site)])
    }
    there = {**lent, **{name: each.version for name, each in installed.items()}}
    for each in installed.values():
        for text in each.requires or ():
            try:
                needed = Requirement(text)
                if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
                    continue
                number = there.get(str(canonicalize_name(needed.name)))
                if number is None:
                    return text
                if not needed.specifier.contains(number, prereleases=True):
                    return f"{text} (version {number} is there)"
            except ValueError as error:  # all of packaging's are
                return f"{text!r} ({error})"
    return None


def _conflict(plugin: Plugin, kept: list[Plugin]) -> str | None:
    if plugin.name in {other.name for other in kept}:
        return "another plugin has the same name; uninstall one of them"
    for other in kept:
        if other.name in plugin.manifest.conflicts or plugin.name in other.manifest.conflicts:
            return f"in conflict with {other.name}; uninstall one of them"
    return None
