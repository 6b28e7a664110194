"""What a Hugging Face folder says of itself, without its weights. Free of torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; empty if there is no such file."""
    if not path.is_file():
        return {}
    loaded: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return loaded


def special_texts(settings: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens' texts in a `tokenizer_config.json`."""
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    found = {name: settings.get(name) for name in names}
    return {
        name: value["content"] if isinstance(value, dict) else value
        for name, value in found.items()
        if value
    }


def numbers_stored(folder: Path) -> int:
    """How many numbers the folder's safetensors hold, from their headers alone."""
    return sum(map(math.prod, shapes_stored(folder).values()))


def shapes_stored(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in the folder's safetensors, from their headers alone."""
    found: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="np") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                found[name] = tuple(tensors.get_slice(name).get_shape())
    return found
