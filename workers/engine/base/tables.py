"""The base that tables train on: no weights yet, for the network's shape follows from the data.

Free of torch.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.numpy import save_file

from workers.engine.data.tables import MODEL_TYPE, MOST_COLUMNS
from workers.engine.folders import atomic_folder


def tabular_base_build(folder: Path) -> Path:
    """Write the base; `folder` appears whole or not at all, with the same bytes each time."""
    config = {"model_type": MODEL_TYPE, "max_position_embeddings": MOST_COLUMNS}
    with atomic_folder(folder) as temporary:
        (temporary / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True))
        save_file({}, temporary / "model.safetensors")
    return folder
