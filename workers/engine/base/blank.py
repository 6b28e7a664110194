"""Bases without weights: a shape to start from, for what can be learned from nothing.

Free of torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from workers.engine.folders import atomic_folder


def blank_base_build(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write the JSON `files` and no weights; `folder` appears whole or not at all.

    The bytes are the same each time.
    """
    with atomic_folder(folder) as temporary:
        for name, content in files.items():
            (temporary / name).write_text(json.dumps(content, indent=1, sort_keys=True))
        save_file({}, temporary / "model.safetensors")
    return folder
