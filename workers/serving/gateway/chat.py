"""Chat completions in OpenAI's shapes: whole, and as chunks.

https://platform.openai.com/docs/api-reference/chat/object and …/chat-streaming
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from workers.engine.data.tokens import Tokenizer
from workers.serving.gateway.calls import RESTART, Generation
from workers.serving.gateway.counts import Counts
from workers.serving.gateway.replicas import Token
from workers.serving.gateway.requests import ChatRequest
from workers.serving.gateway.spelling import token_bytes, token_text

Json = dict[str, Any]


@dataclass(frozen=True)
class Heading:
    """What every chunk of one answer repeats."""

    id: str
    created: int  # Unix seconds
    model: str
    tokenizer: Tokenizer


@dataclass
class Choice:
    """One answer, as it grows."""

    text: str = ""
    logprobs: list[Json] = field(default_factory=list)
    finish: str | None = None


async def chat_whole(asked: ChatRequest, heading: Heading, generation: Generation) -> Json:
    """The whole answer as one object."""
    choices = [Choice() for _ in range(asked.choices)]
    async for token in generation.tokens(restartable=True):
        if token is RESTART:
            choices = [Choice() for _ in choices]
            continue
        choice = choices[token.index]
        choice.text += token.text
        choice.logprobs += token_logprobs(heading.tokenizer, token)
        choice.finish = token.finish
    return _heading(heading, "chat.completion") | {
        "choices": [_choice(i, c, asked) for i, c in enumerate(choices)],
        "usage": usage_block(generation.counts),
    }


async def chat_chunks(
    asked: ChatRequest, heading: Heading, generation: Generation
) -> AsyncGenerator[Json]:
    """The answer in chunks: each choice's role, its text as it comes, its end; usage if asked."""
    head = _heading(heading, "chat.completion.chunk")
    if asked.include_usage:
        head["usage"] = None
    begun: set[int] = set()
    async with aclosing(generation.tokens(restartable=False)) as tokens:
        async for token in tokens:
            if token.index not in begun:
                begun.add(token.index)
                yield head | {
                    "choices": [_delta(token.index, {"role": "assistant", "content": ""})]
                }
            found = token_logprobs(heading.tokenizer, token) if asked.logprobs else []
            if token.text or found:
                logprobs = {"content": found, "refusal": None} if asked.logprobs else None
                yield head | {"choices": [_delta(token.index, {"content": token.text}, logprobs)]}
            if token.finish:
                yield head | {"choices": [_delta(token.index, {}, finish=token.finish)]}
    if asked.include_usage:
        yield head | {"choices": [], "usage": usage_block(generation.counts)}


def usage_block(counts: Counts) -> Json:
    return {
        "prompt_tokens": counts.prompt,
        "completion_tokens": counts.generated,
        "total_tokens": counts.prompt + counts.generated,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def token_logprobs(tokenizer: Tokenizer, token: Token) -> list[Json]:
    """The token's entry, where logprobs were asked for; the end token has no text and none."""
    if token.logprob is None or token.id in tokenizer.eos_ids:
        return []
    top = [_spelled(tokenizer, other, logprob) for other, logprob in token.top]
    return [_spelled(tokenizer, token.id, token.logprob) | {"top_logprobs": top}]


def _spelled(tokenizer: Tokenizer, token_id: int, logprob: float) -> Json:
    raw = token_bytes(tokenizer, token_id)
    return {
        "token": token_text(tokenizer, token_id),
        "logprob": logprob,
        "bytes": None if raw is None else list(raw),
    }


def _heading(heading: Heading, kind: str) -> Json:
    return {
        "id": heading.id,
        "object": kind,
        "created": heading.created,
        "model": heading.model,
        "system_fingerprint": None,
        "service_tier": "default",
    }


def _choice(index: int, choice: Choice, asked: ChatRequest) -> Json:
    return {
        "index": index,
        "message": {"role": "assistant", "content": choice.text, "refusal": None},
        "logprobs": {"content": choice.logprobs, "refusal": None} if asked.logprobs else None,
        "finish_reason": choice.finish,
    }


def _delta(
    index: int, delta: Json, logprobs: Json | None = None, finish: str | None = None
) -> Json:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
