"""Small wheels made by hand: what a partner's build would make, without a build."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

MANIFEST = """
name = "{name}"
version = "{version}"
author = "A test"
licence = "MIT"
contact = "tests"
category = "pipelines"
least_platform = "0.1"
greatest_platform = "1"
permissions = ["data.datasets"]
"""


def manifest(name: str, version: str = "1.0", **changed: str) -> str:
    """A good `plugin.toml` with some keys' right sides changed."""
    lines = MANIFEST.format(name=name, version=version).strip().splitlines()
    by_key = {line.split(" = ")[0]: line.split(" = ", 1)[1] for line in lines} | changed
    return "\n".join(f"{key} = {value}" for key, value in by_key.items())


def wheel_make(
    folder: Path,
    name: str,
    code: str,
    *,
    toml: str | None = None,
    version: str = "1.0",
    requires: tuple[str, ...] = (),
    more: Mapping[str, str] | None = None,
) -> Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    files = {
        f"{name}/__init__.py": code,
        f"{name}/plugin.toml": manifest(name, version) if toml is None else toml,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[breakwater.plugins]\n{name} = {name}\n",
        **(more or {}),
    }
    record = "".join(f"{file},,\n" for file in files) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)
    return path
