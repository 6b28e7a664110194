"""A small trained model of each kind besides language models, with its data, for compressions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.workers.engine.factories import Recorder, handle, write_jsonl
from tests.workers.engine.tasks.factories import spec, table_split, trained
from tests.workers.engine.tasks.media import COLOUR_SIZE, colours, folders_zip
from tests.workers.engine.tasks.sounds import TONES_SIZE, tones
from tests.workers.engine.tasks.texts import encoder_folder, pairs
from workers.engine.base.images import image_base_build
from workers.engine.base.recordings import audio_base_build
from workers.engine.base.tables import tabular_base_build
from workers.engine.compression.compress import compress
from workers.engine.compression.specs import CompressSpec
from workers.engine.protocol import CompressWork, Handle, Outcome


@dataclass(frozen=True)
class Trained:
    """A model's folder, the data it learned from, and its task."""

    task: str
    folder: Path
    data: Path


def _images(folder: Path) -> Trained:
    data = folders_zip(folder / "t.zip", colours(48))
    return _made("image_classification", image_base_build(folder / "vit", COLOUR_SIZE), data, 6)


def _recordings(folder: Path) -> Trained:
    data = folders_zip(folder / "t.zip", tones(48), end="wav")
    return _made("audio_classification", audio_base_build(folder / "ast", TONES_SIZE), data, 8)


def _texts(folder: Path) -> Trained:
    return texts_on(encoder_folder(folder / "bert"), folder)


def texts_on(base: Path, folder: Path) -> Trained:
    """A classifier of texts on an encoder or a decoder."""
    words = ("red", "green", "blue")
    rows = [
        {"text": f"{n} {words[n % 3]} " * (1 + n % 4), "label": words[n % 3]} for n in range(72)
    ]
    return _made("text_classification", base, write_jsonl(folder / "t.jsonl", rows), 8)


def _vectors(folder: Path) -> Trained:
    data = write_jsonl(folder / "t.jsonl", pairs(48))
    return _made("embeddings", encoder_folder(folder / "bert"), data, 3)


def _quantity(folder: Path) -> Trained:
    data = table_split("diabetes", folder).train
    seed = {"tabular": {"hidden": "seed"}, "learning_rate": 0.01}
    return _made("tabular", tabular_base_build(folder / "mlp"), data, 20, **seed)


def _classes(folder: Path) -> Trained:
    data = table_split("wine", folder).train
    return _made("tabular", tabular_base_build(folder / "mlp"), data, 20, learning_rate=0.01)


KINDS: dict[str, Callable[[Path], Trained]] = {
    "images": _images,
    "recordings": _recordings,
    "texts": _texts,
    "vectors": _vectors,
    "quantity": _quantity,
    "classes": _classes,
}


def _made(task: str, base: Path, data: Path, epochs: int, **changes: Any) -> Trained:
    settings = spec(task, **{"epochs": epochs, "learning_rate": 3e-3} | changes)
    result = trained(base, settings, data, data.parent / "run")
    assert result.artifact, result.error
    return Trained(task, result.artifact.path, data)


def work_of(given: Trained, folder: Path, **settings: Any) -> CompressWork:
    """A compression of it, on the rows that it learned from."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = CompressSpec.from_dict({"task": given.task, "max_length": 32} | settings)
    held: Handle = handle(given.data)
    return CompressWork(
        handle(given.folder), "job_1", asked, held, folder / "scratch", validation=held
    )


def made(
    given: Trained, folder: Path, progress: Recorder | None = None, **settings: Any
) -> tuple[Path, dict[str, float]]:
    """The folder of what a compression made, and its figures."""
    result = compress(work_of(given, folder, **settings), progress or Recorder(folder))
    assert result.outcome is Outcome.SUCCEEDED, result.error
    assert result.artifact is not None
    return result.artifact.path, dict(result.metrics)
