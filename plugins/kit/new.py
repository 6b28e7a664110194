"""`plugin_new`: a package from the template, which passes its own tests as it stands."""

from __future__ import annotations

import json
import keyword
import sys
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from plugins.host.errors import HostError
from plugins.sdk.errors import ManifestError
from plugins.sdk.manifest import manifest_read
from plugins.sdk.version import SDK_VERSION

_SUFFIX = ".txt"  # so that nobody takes the template itself for code
_SAMPLE_LINES = 250


def plugin_new(
    name: str, parent: Path, *, platform_version: str, author: str, contact: str, licence: str
) -> list[Path]:
    """Write the package into `parent / name`; return its files. Raises HostError."""
    folder = parent / name
    if keyword.iskeyword(name) or name in sys.stdlib_module_names:
        raise HostError(f"{name!r} is a name of Python's own: choose another")
    if folder.exists():
        raise HostError(f"{folder} is there already: choose another name or place")
    sdk_major, sdk_minor, _ = SDK_VERSION.split(".")
    platform_major, platform_minor, *_ = platform_version.split(".")
    values = {
        "name": name,
        "author": author,
        "contact": contact,
        "licence": licence,
        "sdk_least": f"{sdk_major}.{sdk_minor}",
        "sdk_below": f"{int(sdk_major) + 1}",
        "platform_least": f"{platform_major}.{platform_minor}",
        "platform_greatest": platform_major,
    }
    texts = dict(_texts(files("plugins.kit") / "template", Path(), values))
    try:
        manifest_read(texts[Path(name, "plugin.toml")])
    except ManifestError as error:
        raise HostError(str(error)) from error
    texts[Path(name, "samples", "lines.jsonl")] = _sample()
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return [folder / path for path in texts]


def _texts(source: Traversable, at: Path, values: dict[str, str]) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    for each in sorted(source.iterdir(), key=lambda each: each.name):
        if each.is_dir():
            name = values["name"] if each.name == "package" else each.name
            found += _texts(each, at / name, values)
        elif each.name.endswith(_SUFFIX):
            text = Template(each.read_text(encoding="utf-8")).substitute(values)
            found.append((at / each.name.removesuffix(_SUFFIX), text))
    return found


def _sample() -> str:
    """Lines enough for two snapshots: a product's table."""
    lines = (f"{n} times {n + 1} is {n * (n + 1)}" for n in range(_SAMPLE_LINES))
    return "".join(json.dumps({"text": line}) + "\n" for line in lines)
