"""Images as a ViT reads them: decoded with limits, resized, cut into patches. Free of torch.

Settings stand in the folder's `config.json` and `preprocessor_config.json`, as transformers has
them. Source: Dosovitskiy et al. 2020, arXiv:2010.11929.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from workers.engine.data.model_files import read_json
from workers.engine.data.rows import RowError
from workers.engine.data.samples import Decoded, Values
from workers.engine.errors import ModelError

MOST_PIXELS = 50_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
DEEP = frozenset({"I", "F", "I;16", "I;16B", "I;16L"})  # more than eight bits a channel
MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class ImageFormat:
    """The size that a model takes, and how it is normalised."""

    height: int
    width: int
    channels: int
    tokens: int
    resample: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    noun = "image"

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What a model's folder says.

        Raises:
            ModelError: it does not say it, or it is no vision transformer.
        """
        try:
            config = read_json(folder / "config.json")
            given = read_json(folder / "preprocessor_config.json")
            height, width = _pair(config["image_size"])
            channels = int(config.get("num_channels", 3))
            return cls(
                height=height,
                width=width,
                channels=channels,
                tokens=image_patches(config),
                resample=int(given.get("resample", Image.Resampling.BILINEAR)),
                mean=_each(given.get("image_mean", 0.5), channels),
                std=_each(given.get("image_std", 0.5), channels),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder.name} is no vision transformer ({error!r})") from error

    def decode(self, content: bytes) -> Decoded:
        """(channels, height, width), bytes. Raises RowError."""
        image = _opened(content).convert(MODES[self.channels])
        unfolded = image.width * image.height * self.channels
        if image.size != (self.width, self.height):
            image = image.resize((self.width, self.height), Image.Resampling(self.resample))
        values = np.asarray(image, dtype=np.uint8).reshape(self.height, self.width, self.channels)
        return Decoded(np.ascontiguousarray(values.transpose(2, 0, 1)), self.tokens, unfolded)

    def normalised(self, values: Values) -> npt.NDArray[np.float32]:
        """(B, channels, height, width)."""
        mean = np.array(self.mean, dtype=np.float32)[:, None, None]
        std = np.array(self.std, dtype=np.float32)[:, None, None]
        scaled: Values = values.astype(np.float32) / 255
        return (scaled - mean) / std


def image_patches(config: Mapping[str, Any]) -> int:
    """How many patches a ViT cuts an image into, by its configuration."""
    (height, width), (tall, wide) = _pair(config["image_size"]), _pair(config["patch_size"])
    return (height // tall) * (width // wide)


def _pair(given: int | Sequence[int]) -> tuple[int, int]:
    first, second = (given, given) if isinstance(given, int) else given
    return int(first), int(second)


def _each(given: float | Sequence[float], channels: int) -> tuple[float, ...]:
    return tuple(given) if isinstance(given, list) else (float(given),) * channels  # type: ignore[arg-type]


def _opened(content: bytes) -> Image.Image:
    fix = f"send a whole image of the kinds {', '.join(FORMATS)}."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            if image.width * image.height > MOST_PIXELS:
                reason = f"the image has {image.width:,} × {image.height:,} pixels"
                raise RowError("image", "too_many_pixels", reason, "make it smaller.")
            image.load()
    except UnidentifiedImageError as error:
        raise RowError("image", "not_an_image", "it is no image that is known", fix) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        fix = "make it smaller."
        raise RowError("image", "too_many_pixels", "the image is far too large", fix) from error
    except (OSError, SyntaxError, ValueError, EOFError, Warning) as error:
        reason = f"the image is damaged ({error})"
        raise RowError("image", "damaged_image", reason, fix) from error
    if image.mode in DEEP:
        reason = "the image has more than eight bits a channel"
        raise RowError("image", "too_deep", reason, "save it with eight.")
    return image
