"""Made-up data files of every task, in its own format: something to time real fine-tunes on.

What the rows say plays no part in how long they take; how many and how long they are does.
"""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from workers.engine.data.images import ImageFormat
from workers.engine.data.recordings import AudioFormat
from workers.engine.errors import ModelError

DEVIATION = 0.6  # of the logarithm of lengths
CLASSES = 2
WORDS = (
    "the of and to in is that for it as with was on by at from are or an be this which one had not "
    "but what all were when we there can more if out so up time no way could people than first "
    "water been called who its now find long down day did get come made may part"
).split()
Draws = np.random.Generator
Rows = Iterator[Mapping[str, Any]]


def file_make(task: str, base: Path, path: Path, *, count: int, size: int, seed: int) -> Path:
    """Write `count` examples for `task`, readable by the model in `base`.

    `size` is the words of a typical text (log-normal), or the columns of a table; images and
    recordings are as large as the model takes them.

    Raises:
        ModelError: the task is none that data can be made up for.
    """
    draws = np.random.default_rng(seed)
    if task == "tabular":
        _table(path, draws, count, size)
        return path
    rows = _ROWS.get(task)
    if rows is None:
        raise ModelError(f"no data can be made up for {task!r}")
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows(base, draws, count, size))
    return path


def _text(draws: Draws, size: int) -> str:
    longest = 4 * size
    words = int(np.exp(draws.normal(np.log(size), DEVIATION)).clip(1, longest))
    return " ".join(draws.choice(WORDS, words))


def _labelled(_: Path, draws: Draws, count: int, size: int) -> Rows:
    for number in range(count):
        yield {"text": _text(draws, size), "label": f"class {number % CLASSES}"}


def _pairs(_: Path, draws: Draws, count: int, size: int) -> Rows:
    for _number in range(count):
        yield {"anchor": _text(draws, size), "positive": _text(draws, size)}


def _preferences(_: Path, draws: Draws, count: int, size: int) -> Rows:
    for _number in range(count):
        chosen, rejected = (_text(draws, max(1, size // 2)) for _ in range(2))
        prompt = _text(draws, max(1, size // 2))
        yield {"prompt": prompt, "chosen": f" {chosen} yes", "rejected": f" {rejected} no"}


def _completions(_: Path, draws: Draws, count: int, size: int) -> Rows:
    for _number in range(count):
        half = max(1, size // 2)
        yield {"prompt": _text(draws, half), "completion": " " + _text(draws, half)}


def _images(base: Path, draws: Draws, count: int, _: int) -> Rows:
    form = ImageFormat.load(base)
    for number in range(count):
        pixels = draws.integers(0, 256, (form.height, form.width, 3), dtype=np.uint8)
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        yield _media("image", "image/png", content.getvalue(), number)


def _recordings(base: Path, draws: Draws, count: int, _: int) -> Rows:
    form = AudioFormat.load(base)
    for number in range(count):
        signal = draws.integers(-8000, 8000, form.rate, dtype=np.int16)  # a second
        content = io.BytesIO()
        with wave.open(content, "wb") as out:
            out.setparams((1, 2, form.rate, 0, "NONE", ""))
            out.writeframes(signal.tobytes())
        yield _media("audio", "audio/wav", content.getvalue(), number)


def _media(noun: str, kind: str, content: bytes, number: int) -> Mapping[str, Any]:
    url = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return {noun: url, "label": f"class {number % CLASSES}"}


def _table(path: Path, draws: Draws, count: int, columns: int) -> None:
    names = ",".join(f"x{number}" for number in range(columns))
    values = draws.normal(size=(count, columns + 1))
    with path.open("w", encoding="utf-8") as out:
        out.write(f"{names},y\n")
        out.writelines(",".join(f"{value:.6f}" for value in row) + "\n" for row in values)


_ROWS: Mapping[str, Callable[[Path, Draws, int, int], Rows]] = {
    "text_generation": _completions,
    "preference": _preferences,
    "text_classification": _labelled,
    "embeddings": _pairs,
    "image_classification": _images,
    "audio_classification": _recordings,
}
