"""Where settings come from: the environment, else `$BREAKWATER_VAR/env`, made by the first run."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from saas.runtime.layout import ROOT, Layout
from saas.runtime.secrets import env_read

__all__ = ["ROOT", "VAR", "flag", "is_given", "path", "value"]

VAR = Layout.current().var


def value(name: str, default: str = "") -> str:
    """Return a setting as text."""
    return os.environ.get(name) or _file().get(name, default)


def is_given(name: str) -> bool:
    """Whether it comes from the environment itself, not from the file. An empty one does not."""
    return bool(os.environ.get(name))


def flag(name: str, *, default: bool = False) -> bool:
    return value(name, "1" if default else "0").lower() in {"1", "true", "yes", "on"}


def path(name: str, default: Path) -> Path:
    return Path(value(name) or default).resolve()


@cache
def _file() -> dict[str, str]:
    return env_read(Layout.current().env_file)
