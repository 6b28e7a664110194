"""What was done to a model and what it is now, in figures, beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers.engine.compression.specs import FOR_GPU, GPU_FORMATS, NO_GAIN

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


def notes_of(report: Mapping[str, Any]) -> list[str]:
    """What a report's figures do not show by themselves."""
    masked = [NO_GAIN] if "masked_weights" in report else []
    return [*masked, *format_notes(report)]


def format_notes(report: Mapping[str, Any]) -> list[str]:
    """What the device where a model was quantised means for its format."""
    kind = report["settings"]["quantise"]
    notes = []
    if kind in GPU_FORMATS and report.get("device") == "cpu":
        notes.append(FOR_GPU.format(format=kind))
    for reason, count in report.get("not_accelerated", {}).items():
        notes.append(f"{count} layers are multiplied by turning their weights back: {reason}.")
    return notes
