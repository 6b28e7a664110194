"""The SDK validates nothing on receipt; this does."""

from __future__ import annotations

from typing import TypeVar

from openai import BaseModel

M = TypeVar("M", bound=BaseModel)


def checked(answer: M) -> M:
    """Raises ValidationError where an answer does not fit its own type."""
    type(answer).model_validate(answer.to_dict())
    return answer
