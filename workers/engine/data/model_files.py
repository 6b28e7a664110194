"""What the small JSON files of a Hugging Face folder say. Free of torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


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
