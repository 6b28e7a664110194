"""Bare completions in OpenAI's shapes: whole, and as chunks of the same kind.

https://platform.openai.com/docs/api-reference/completions/object
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from workers.engine.data.tokens import Tokenizer
from workers.serving.gateway.calls import RESTART, Generation
from workers.serving.gateway.chat import Heading, usage_block
from workers.serving.gateway.replicas import Token
from workers.serving.gateway.requests import CompletionRequest
from workers.serving.gateway.spelling import token_name, token_text

Json = dict[str, Any]


@dataclass
class Logprobs:
    """Parallel lists, one entry a token. `offset` counts characters of the completion so far."""

    tokenizer: Tokenizer
    offset: int = 0
    tokens: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[dict[str, float]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)

    def add(self, token: Token) -> None:
        if token.logprob is None or token.id in self.tokenizer.eos_ids:
            return
        self.tokens.append(token_name(self.tokenizer, token.id))
        self.logprobs.append(token.logprob)
        self.top.append({token_name(self.tokenizer, other): value for other, value in token.top})
        self.offsets.append(self.offset)
        self.offset += len(token_text(self.tokenizer, token.id))

    def taken(self) -> Json:
        """What has gathered, which is then forgotten."""
        found = {
            "tokens": self.tokens,
            "token_logprobs": self.logprobs,
            "top_logprobs": self.top,
            "text_offset": self.offsets,
        }
        self.tokens, self.logprobs, self.top, self.offsets = [], [], [], []
        return found


async def completion_whole(
    asked: CompletionRequest, heading: Heading, generation: Generation
) -> Json:
    """The whole answer as one object."""
    count = len(asked.prompts) * asked.choices
    texts, ends, logprobs = _fresh(count, heading)
    async for token in generation.tokens(restartable=True):
        if token is RESTART:
            texts, ends, logprobs = _fresh(count, heading)
            continue
        texts[token.index] += token.text
        ends[token.index] = token.finish
        logprobs[token.index].add(token)
    choices = [
        _choice(i, texts[i], logprobs[i].taken() if asked.logprobs is not None else None, ends[i])
        for i in range(count)
    ]
    return _heading(heading) | {"choices": choices, "usage": usage_block(generation.counts)}


async def completion_chunks(
    asked: CompletionRequest, heading: Heading, generation: Generation
) -> AsyncGenerator[Json]:
    """The answer in chunks: text as it comes, with each choice's end; usage if asked."""
    head = _heading(heading)
    if asked.include_usage:
        head["usage"] = None
    _, _, logprobs = _fresh(len(asked.prompts) * asked.choices, heading)
    async with aclosing(generation.tokens(restartable=False)) as tokens:
        async for token in tokens:
            gathered = logprobs[token.index]
            gathered.add(token)
            if token.text or token.finish:
                shown = gathered.taken() if asked.logprobs is not None else None
                yield head | {"choices": [_choice(token.index, token.text, shown, token.finish)]}
    if asked.include_usage:
        yield head | {"choices": [], "usage": usage_block(generation.counts)}


def _fresh(count: int, heading: Heading) -> tuple[list[str], list[str | None], list[Logprobs]]:
    return [""] * count, [None] * count, [Logprobs(heading.tokenizer) for _ in range(count)]


def _heading(heading: Heading) -> Json:
    return {
        "id": heading.id,
        "object": "text_completion",
        "created": heading.created,
        "model": heading.model,
        "system_fingerprint": None,
    }


def _choice(index: int, text: str, logprobs: Json | None, finish: str | None) -> Json:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}
