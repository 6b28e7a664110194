"""Predictions in the shape of OpenAI's lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workers.serving.gateway.requests import PredictionRequest


def prediction_answer(
    asked: PredictionRequest, *, predictions: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The answer as one object: per input its prediction, and for classes their probabilities."""
    return {
        "object": "list",
        "data": [
            {"object": "prediction", "index": index, **prediction}
            for index, prediction in enumerate(predictions)
        ],
        "model": asked.model,
        "usage": {"prompt_tokens": asked.cells, "total_tokens": asked.cells},
    }
