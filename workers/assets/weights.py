"""Model folders as they may enter the catalogue: safetensors and plain text only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tenants.kernel.errors import InvalidInput
from workers.engine.data.images import image_patches
from workers.engine.data.model_files import numbers_stored, read_json
from workers.engine.data.recordings import audio_patches
from workers.engine.data.tokens import Tokenizer
from workers.engine.errors import ModelError

REFUSED = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz",
                     ".h5", ".msgpack", ".py", ".so", ".exe"})  # fmt: skip


def refuse_unsafe(folder: Path) -> None:
    """Raises InvalidInput for a folder with pickles, programs, links, or without safetensors."""
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder; give a model folder in Hugging Face layout")
    refuse_unsafe_weights(folder)
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise InvalidInput(f"{folder.name} lacks config.json or *.safetensors")


def refuse_unsafe_weights(folder: Path) -> None:
    """Raises InvalidInput for links, pickles and programs in `folder`."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise InvalidInput(f"{path.name} is a link; copy the file into the folder")
        if path.is_file() and path.suffix in REFUSED:
            raise InvalidInput(
                f"{path.name} may hold code; only safetensors, JSON and text are taken. Convert "
                "the weights to safetensors and remove it",
                code="unsafe_model_file",
            )


def refuse_without_tokenizer(folder: Path) -> None:
    """Raises InvalidInput for a folder of a text model whose tokenizer cannot be read."""
    try:
        Tokenizer.load(folder)
    except ModelError as error:
        raise InvalidInput(str(error), code="no_tokenizer") from error


def parameter_count(folder: Path) -> int:
    """How many numbers the folder's safetensors hold, from their headers alone.

    Raises InvalidInput for a file that is none.
    """
    try:
        return numbers_stored(folder)
    except Exception as error:
        raise InvalidInput(f"a safetensors file in {folder.name} is damaged: {error}") from error


def model_config(folder: Path) -> dict[str, Any]:
    """The folder's `config.json`. Raises InvalidInput."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"config.json of {folder.name} cannot be read: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InvalidInput(f"config.json of {folder.name} names no model_type")
    return config


def is_quantised(folder: Path) -> bool:
    """Whether the folder's weights are rounded, so that they can be served and nothing else."""
    return bool(read_json(folder / "config.json").get("quantization_config"))


def context_length(folder: Path, config: dict[str, Any]) -> int:
    """How many tokens the model takes. Raises InvalidInput where its files do not say.

    A sentence encoder has places for more than it was trained for.
    """
    stated = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    if isinstance(stated, int):
        return stated
    for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_sequence_length"):
        if isinstance(config.get(name), int):
            return int(config[name])
    if "patch_size" in config:
        return _patches(config)
    raise InvalidInput("config.json names no max_position_embeddings")


def _patches(config: dict[str, Any]) -> int:
    """What a transformer of images or recordings reads: a patch is what a token is to a text."""
    try:
        return image_patches(config) if "image_size" in config else audio_patches(config)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InvalidInput(f"config.json tells no number of patches ({error!r})") from error


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
