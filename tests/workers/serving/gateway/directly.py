"""Independent references: transformers' own token ids, and the engine without any server."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from workers.engine.inference.generate import TextModel
from workers.engine.specs import GenerateSpec


def prompt_ids(folder: Path, messages: list[Any]) -> list[int]:
    """Transformers' own rendering and tokenising."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def text_ids(folder: Path, text: str) -> list[int]:
    return list(AutoTokenizer.from_pretrained(folder)(text).input_ids)


def written(folder: Path, ids: list[int], *, adapter: Path | None = None, **spec: Any) -> str:
    """What the engine writes, alone, with the base or an adapter."""
    steps = _model(folder, adapter).generate(ids, GenerateSpec(**spec), adapter and "it")
    return "".join(step.text_delta for step in steps)


@cache
def _model(folder: Path, adapter: Path | None) -> TextModel:
    model = TextModel.load(folder)
    if adapter is not None:
        model.add_adapter("it", adapter)
    return model
