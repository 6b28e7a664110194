"""What was done to a model and what it is now, in figures, beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPORT = "compression.json"
ADAPTERS = "adapters"  # the folder with those that were carried over, by number


def weights_bytes(folder: Path) -> float:
    """Bytes of a folder's weights."""
    return float(sum(path.stat().st_size for path in folder.glob("*.safetensors")))


def report_write(folder: Path, report: Mapping[str, Any]) -> None:
    """Put the report into a model's folder."""
    (folder / REPORT).write_text(json.dumps(report, indent=1, sort_keys=True))


def report_read(folder: Path) -> dict[str, Any]:
    """What `report_write` wrote."""
    found: dict[str, Any] = json.loads((folder / REPORT).read_text("utf-8"))
    return found
