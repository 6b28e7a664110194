"""The base that tables train on: no weights yet, for the network's shape follows from the data.

Free of torch.
"""

from __future__ import annotations

from pathlib import Path

from workers.engine.base.blank import blank_base_build
from workers.engine.data.tables import MODEL_TYPE, MOST_COLUMNS


def tabular_base_build(folder: Path) -> Path:
    """Write the base; `folder` appears whole or not at all, with the same bytes each time."""
    config = {"model_type": MODEL_TYPE, "max_position_embeddings": MOST_COLUMNS}
    return blank_base_build(folder, {"config.json": config})
