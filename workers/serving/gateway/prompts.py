"""From what was asked to token ids: the model's own template and tokenizer, without torch.

These are the ids that the replica computes, so what is counted here is what is run. They are
cached by folder: a base's files never change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tenants.kernel.errors import InvalidInput, Unavailable
from workers.engine.data.chat import ChatTemplate
from workers.engine.data.tokens import Tokenizer
from workers.engine.errors import EngineError, TemplateError
from workers.serving.gateway.admission import Model
from workers.serving.gateway.requests import MOST_INPUTS, ChatRequest, EmbeddingRequest

MOST_EMBEDDED = 300_000  # tokens in one request, as OpenAI has it
IN_THREAD = 16_384  # characters, from which on tokenising would hold up other requests


@dataclass(frozen=True)
class Language:
    """A base's tokenizer and chat template."""

    tokenizer: Tokenizer
    template: ChatTemplate | None


async def language_of(model: Model) -> Language:
    """Raises Unavailable where the model's files cannot be read."""
    try:
        return await asyncio.to_thread(_load, model.folder)
    except (OSError, EngineError) as error:
        raise Unavailable(f"{model.base_id} cannot be read on this machine: {error}") from error


@lru_cache(maxsize=64)
def _load(folder: Path) -> Language:
    return Language(Tokenizer.load(folder), ChatTemplate.load(folder))


async def chat_prompt(model: Model, asked: ChatRequest) -> list[int]:
    """Token ids of a conversation, ready for the assistant's words.

    Raises InvalidInput where the template refuses it or it is too long for the model.
    """
    language = await language_of(model)
    if language.template is None:
        raise InvalidInput(
            f"{model.base_id} has no chat template; use /v1/completions",
            param="model",
            code="wrong_model",
        )
    shield = language.tokenizer.shield
    turns = [shield.message(message.to_turn()) for message in asked.messages]
    try:
        text = language.template.render(turns, add_generation_prompt=True)
    except TemplateError as error:
        raise InvalidInput(str(error), param="messages") from error
    ids = await _encoded(language.tokenizer, text)
    check_room(model, len(ids), asked.token_limit, param="messages")
    return ids


async def text_prompt(model: Model, given: str | Sequence[int], limit: int | None) -> list[int]:
    """Token ids of a bare prompt. Raises InvalidInput."""
    tokenizer = (await language_of(model)).tokenizer
    if isinstance(given, str):
        ids = await _encoded(tokenizer, given, bare=True)
    else:
        ids = known_tokens(tokenizer, given, param="prompt")
    if not ids:
        raise InvalidInput("the prompt is empty", param="prompt")
    check_room(model, len(ids), limit, param="prompt")
    return ids


async def embedding_texts(model: Model, asked: EmbeddingRequest) -> tuple[list[str], int]:
    """The texts to embed and their tokens in all. Raises InvalidInput."""
    tokenizer = (await language_of(model)).tokenizer
    if not 1 <= len(asked.inputs) <= MOST_INPUTS:
        raise InvalidInput(f"send 1 to {MOST_INPUTS} texts at once", param="input")
    texts: list[str] = []
    total = 0
    for index, given in enumerate(asked.inputs):
        text = given if isinstance(given, str) else _decoded(tokenizer, given)
        if not text:
            raise InvalidInput("an empty text cannot be embedded", param=f"input.{index}")
        tokens = await _counted(tokenizer, text)
        if tokens > model.context_length:
            raise _too_long(model, f"input {index} has {tokens} tokens", param=f"input.{index}")
        texts.append(text)
        total += tokens
    if total > MOST_EMBEDDED:
        raise InvalidInput(
            f"{total} tokens in one request; at most {MOST_EMBEDDED}. Split it.", param="input"
        )
    return texts, total


def check_room(model: Model, prompt: int, limit: int | None, *, param: str) -> None:
    """Raises InvalidInput(code="context_length_exceeded")."""
    if prompt + (limit or 1) <= model.context_length:
        return
    asked = f"{prompt} tokens in the {param}" + (f", {limit} in the completion" if limit else "")
    raise _too_long(model, f"you asked for {asked}", param=param)


def known_tokens(tokenizer: Tokenizer, ids: Sequence[int], *, param: str) -> list[int]:
    """Raises InvalidInput for an id that the tokenizer does not have."""
    largest = tokenizer.vocabulary - 1
    if any(token > largest for token in ids):
        raise InvalidInput(f"this model's token ids go from 0 to {largest}", param=param)
    return list(ids)


def _too_long(model: Model, what: str, *, param: str) -> InvalidInput:
    return InvalidInput(
        f"this model's maximum context length is {model.context_length} tokens; {what}. "
        "Shorten it.",
        param=param,
        code="context_length_exceeded",
    )


async def _encoded(tokenizer: Tokenizer, text: str, *, bare: bool = False) -> list[int]:
    encode = tokenizer.encode_prompt if bare else tokenizer.encode
    if len(text) < IN_THREAD:
        return encode(text)
    return await asyncio.to_thread(encode, text)


async def _counted(tokenizer: Tokenizer, text: str) -> int:
    """As the encoder sees it: with its begin and end tokens."""
    if len(text) < IN_THREAD:
        return tokenizer.count(text, specials=True)
    return await asyncio.to_thread(tokenizer.count, text, specials=True)


def _decoded(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    return tokenizer.decode(known_tokens(tokenizer, ids, param="input"))
