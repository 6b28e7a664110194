"""Predictions: what is asked, counted, and answered in the shape of OpenAI's lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tenants.kernel.errors import InvalidInput
from workers.serving.gateway.admission import Model
from workers.serving.gateway.prompts import language_of
from workers.serving.gateway.requests import PredictionRequest

WANTS = {"tabular": dict, "text_classification": str}


async def prediction_tokens(model: Model, asked: PredictionRequest) -> int:
    """What is counted: a row's cells, a text's tokens.

    Raises InvalidInput for rows where the model takes texts, or the other way round.
    """
    wanted = WANTS[model.kind]
    for index, given in enumerate(asked.inputs):
        if not isinstance(given, wanted):
            what = "texts" if wanted is str else "objects, a value by each column's name"
            raise InvalidInput(f"{model.name} takes {what}", param=f"inputs.{index}")
    if wanted is dict:
        return sum(map(len, asked.inputs))
    tokenizer = (await language_of(model)).tokenizer
    return sum(tokenizer.count(str(text), specials=True) for text in asked.inputs)


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
