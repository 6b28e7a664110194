"""The base that images train on: a small vision transformer (ViT) by configuration, no weights.

Free of torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workers.engine.base.blank import blank_base_build


@dataclass(frozen=True)
class VitSize:
    """Sides of image and patch in pixels, and the network's shape."""

    image: int = 32
    patch: int = 4
    channels: int = 3
    hidden: int = 96
    layers: int = 4
    heads: int = 4


DEFAULT_SIZE = VitSize()


def image_base_build(folder: Path, size: VitSize = DEFAULT_SIZE) -> Path:
    """Write the base; `folder` appears whole or not at all, with the same bytes each time."""
    config = {
        "model_type": "vit",
        "image_size": size.image,
        "patch_size": size.patch,
        "num_channels": size.channels,
        "hidden_size": size.hidden,
        "intermediate_size": 4 * size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
    }
    preprocessor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": size.image, "width": size.image},
        "resample": 2,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5] * size.channels,
        "image_std": [0.5] * size.channels,
    }
    return blank_base_build(
        folder, {"config.json": config, "preprocessor_config.json": preprocessor}
    )
