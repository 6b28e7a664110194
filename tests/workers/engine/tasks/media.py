"""Images as files: scikit-learn's digits, packed as customers pack theirs."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn import datasets

from workers.engine.base.images import VitSize

DIGITS_SIZE = VitSize(image=8, patch=2, channels=1, hidden=48, layers=2, heads=4)
COLOUR_SIZE = VitSize(image=16, patch=8, channels=3, hidden=16, layers=2, heads=2)

Named = Sequence[tuple[str, bytes]]  # (label, file)


@dataclass(frozen=True)
class Digits:
    """Hand-written digits, 8 × 8 grey values from 0 to 255, a quarter held out."""

    x: Any
    y: Any
    x_held_out: Any
    y_held_out: Any


def digits() -> Digits:
    data = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    x = np.round(data.images * 255 / 16).astype(np.uint8)[order]
    y, out = data.target[order], len(order) // 4
    return Digits(x[out:], y[out:], x[:out], y[:out])


def png(values: Any, kind: str = "PNG") -> bytes:
    """(height, width) or (height, width, 3) bytes as a file."""
    out = io.BytesIO()
    Image.fromarray(values).save(out, kind)
    return out.getvalue()


def named(x: Any, y: Any) -> Named:
    return [(str(label), png(values)) for values, label in zip(x, y, strict=True)]


def colours(count: int = 24, side: int = 20, seed: int = 0) -> Named:
    """Noise with a touch of red, green or blue."""
    draws = np.random.default_rng(seed)
    found = []
    for n in range(count):
        values = draws.integers(0, 120, (side, side + n % 3, 3), dtype=np.uint8)
        values[..., n % 3] += 100
        found.append((("red", "green", "blue")[n % 3], png(values)))
    return found


def folders_zip(path: Path, files: Iterable[tuple[str, bytes]], *, end: str = "png") -> Path:
    """A zip archive with one folder a class."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, (label, content) in enumerate(files):
            archive.writestr(f"data/{label}/{number}.{end}", content)
    return path


def listed_zip(path: Path, files: Iterable[tuple[str, bytes]], *, end: str = "png") -> Path:
    """A zip archive with `metadata.jsonl` beside the files."""
    rows = []
    with zipfile.ZipFile(path, "w") as archive:
        for number, (label, content) in enumerate(files):
            archive.writestr(f"files/{number}.{end}", content)
            rows.append(json.dumps({"file_name": f"files/{number}.{end}", "label": label}))
        archive.writestr("metadata.jsonl", "\n".join(rows))
    return path


def data_url(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def url_rows(files: Iterable[tuple[str, bytes]], media_type: str = "image/png") -> list[Any]:
    noun = media_type.partition("/")[0]
    return [{noun: data_url(content, media_type), "label": label} for label, content in files]
