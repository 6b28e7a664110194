"""`plugin.toml`: what a plugin says of itself, read without running a line of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from plugins.sdk.codec import from_json
from plugins.sdk.errors import ContractError, ManifestError

FILE_NAME = "plugin.toml"
ENTRY_POINTS = "breakwater.plugins"
_NAME = re.compile(r"[a-z][a-z0-9_]{1,62}")
_VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){0,2}")
LONGEST_VERSION = 40

Category = Literal[
    "pipelines", "data", "training", "compression", "evaluation", "pricing", "services", "console"
]
Permission = Literal[
    "data.datasets", "data.models", "data.usage", "data.jobs", "data.quotes", "network", "gpu"
]

SampleHook = Literal["run_step", "read_dataset", "prepare_dataset", "run_method"]


@dataclass(frozen=True)
class Sample:
    """A call that the conformance kit makes: `args` are the hook's beside `work`.

    `inputs` are files of the plugin's own package, small enough for a run of seconds.
    """

    hook: SampleHook
    args: dict[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """A plugin's own words. `settings` is a JSON Schema (2020-12) of an object."""

    name: str
    version: str
    author: str
    licence: str
    contact: str
    category: Category
    least_platform: str
    greatest_platform: str
    permissions: tuple[Permission, ...] = ()
    conflicts: tuple[str, ...] = ()
    notice: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ContractError(f"plugin.toml: name: {self.name!r} is not lower_case of 2 to 63")
        for key in ("least_platform", "greatest_platform"):
            if not _VERSION.fullmatch(getattr(self, key)):
                raise ContractError(f"plugin.toml: {key}: write a version such as 1.4")
        for key in ("version", "author", "licence", "contact"):
            if not getattr(self, key).strip():
                raise ContractError(f"plugin.toml: {key} is empty")
        if len(self.version) > LONGEST_VERSION:
            raise ContractError(f"plugin.toml: version: at most {LONGEST_VERSION} characters")


def manifest_read(text: str) -> Manifest:
    """Parse the file's text. Raises ManifestError, naming the key."""
    import tomllib  # the host reads manifests; a child, whose start should be quick, does not

    try:
        found: Manifest = from_json(Manifest, tomllib.loads(text), "plugin.toml")
    except RecursionError as error:
        raise ManifestError("plugin.toml: it is nested too deeply") from error
    except (ValueError, ContractError) as error:  # tomllib's own, and that of a number too long
        raise ManifestError(str(error)) from error
    return found
