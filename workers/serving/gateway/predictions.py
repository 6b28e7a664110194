"""Predictions: what is asked, counted, and answered in the shape of OpenAI's lists."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from tenants.kernel.errors import InvalidInput
from workers.serving.gateway.admission import Model
from workers.serving.gateway.prompts import language_of
from workers.serving.gateway.requests import PredictionRequest

TEXTS = "texts"
ROWS = "objects, a value by each column's name"
WANTS = {
    "tabular": ROWS,
    "text_classification": TEXTS,
    "image_classification": 'images as data URLs, "data:image/…;base64,…"',
    "audio_classification": 'recordings as data URLs, "data:audio/…;base64,…"',
}
LONGEST_TEXT = 1_000_000  # characters


async def prediction_tokens(model: Model, asked: PredictionRequest) -> int:
    """What is counted: a row's cells, a text's tokens, the patches of an image or a recording.

    Raises InvalidInput for rows where the model takes texts, or the other way round.
    """
    wants = WANTS[model.kind]
    for index, given in enumerate(asked.inputs):
        if not _fits(model.kind, wants, given):
            raise InvalidInput(f"{model.name} takes {wants}", param=f"inputs.{index}")
    if wants == ROWS:
        return sum(map(len, asked.inputs))
    if wants != TEXTS:
        return len(asked.inputs) * model.context_length
    tokenizer = (await language_of(model)).tokenizer

    def count() -> int:
        return sum(tokenizer.count(str(text), specials=True) for text in asked.inputs)

    return await asyncio.to_thread(count)


def _fits(kind: str, wants: str, given: object) -> bool:
    if wants == ROWS:
        return isinstance(given, dict)
    if not isinstance(given, str):
        return False
    if wants == TEXTS:
        return len(given) <= LONGEST_TEXT
    return given.startswith(f"data:{kind.removesuffix('_classification')}/")


def prediction_answer(
    asked: PredictionRequest, predictions: Sequence[Mapping[str, Any]], *, tokens: int
) -> dict[str, Any]:
    """The answer as one object: per input its prediction, and for classes their probabilities."""
    return {
        "object": "list",
        "data": [
            {"object": "prediction", "index": index, **prediction}
            for index, prediction in enumerate(predictions)
        ],
        "model": asked.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
