"""The base that recordings train on: a small Audio Spectrogram Transformer, no weights.

Free of torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workers.engine.base.blank import blank_base_build


@dataclass(frozen=True)
class AstSize:
    """How much of a recording is heard (frames of 10 ms), how finely, and the network's shape."""

    frames: int = 256
    bins: int = 64
    patch: int = 16
    hidden: int = 96
    layers: int = 4
    heads: int = 4
    rate: int = 16_000  # samples a second


DEFAULT_SIZE = AstSize()


def audio_base_build(folder: Path, size: AstSize = DEFAULT_SIZE) -> Path:
    """Write the base; `folder` appears whole or not at all, with the same bytes each time."""
    config = {
        "model_type": "audio-spectrogram-transformer",
        "max_length": size.frames,
        "num_mel_bins": size.bins,
        "patch_size": size.patch,
        "frequency_stride": size.patch,
        "time_stride": size.patch,
        "hidden_size": size.hidden,
        "intermediate_size": 4 * size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
    }
    preprocessor = {
        "feature_extractor_type": "ASTFeatureExtractor",
        "sampling_rate": size.rate,
        "num_mel_bins": size.bins,
        "max_length": size.frames,
        "do_normalize": True,
        "mean": -4.2677393,  # AudioSet's, as the paper has them
        "std": 4.5689974,
        "padding_value": 0.0,
        "return_attention_mask": False,
        "feature_size": 1,
        "padding_side": "right",
    }
    return blank_base_build(
        folder, {"config.json": config, "preprocessor_config.json": preprocessor}
    )
