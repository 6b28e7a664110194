"""Where settings come from: the environment, else `$BREAKWATER_VAR/env`, made by the first run."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VAR = Path(os.environ.get("BREAKWATER_VAR", ROOT / "var")).resolve()


def value(name: str, default: str = "") -> str:
    """Return a setting as text."""
    return os.environ.get(name) or _file().get(name, default)


def flag(name: str, *, default: bool = False) -> bool:
    return value(name, "1" if default else "0").lower() in {"1", "true", "yes", "on"}


def path(name: str, default: Path) -> Path:
    return Path(value(name) or default).resolve()


@cache
def _file() -> dict[str, str]:
    file = VAR / "env"
    if not file.is_file():
        return {}
    lines = (line.strip() for line in file.read_text().splitlines())
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {pair[0]: pair[1] for pair in pairs}
