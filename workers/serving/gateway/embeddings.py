"""Embeddings in OpenAI's shape. https://platform.openai.com/docs/api-reference/embeddings/object"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Sequence
from typing import Any

from workers.serving.gateway.requests import EmbeddingRequest


def embedding_answer(
    asked: EmbeddingRequest, vectors: Sequence[Sequence[float]], *, model: str, tokens: int
) -> dict[str, Any]:
    """The answer as one object: lists of numbers, or base64 of little-endian float32."""
    coded = [
        _base64(vector) if asked.encoding_format == "base64" else list(vector) for vector in vectors
    ]
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": embedding}
            for index, embedding in enumerate(coded)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _base64(vector: Sequence[float]) -> str:
    numbers = array("f", vector)
    if numbers.itemsize != 4:
        raise TypeError("this platform's float is not four bytes")
    return base64.b64encode(numbers.tobytes()).decode()
