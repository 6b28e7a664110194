"""Chat completions through the real client, gateway, replica process and engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from tests.workers.engine.factories import reference_model
from tests.workers.serving.factories import customer
from tests.workers.serving.gateway.directly import prompt_ids, written
from tests.workers.serving.replicas import Parent

pytestmark = pytest.mark.django_db

HELLO: list[Any] = [{"role": "user", "content": "Tell me of lists."}]


def test_an_answer_is_the_engines_own_and_counted_as_transformers_counts(
    tiny: Path, replica: Parent, client: Any
) -> None:
    # when a customer asks with the ordinary client
    answer = client(customer()).chat.completions.create(
        model="tiny", messages=HELLO, temperature=0, max_tokens=12
    )
    # then it is what the engine writes for transformers' own token ids
    ids = prompt_ids(tiny, HELLO)
    assert answer.choices[0].message.content == written(tiny, ids, temperature=0, max_tokens=12)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.prompt_tokens == len(ids)
    assert answer.usage.completion_tokens == 12
    assert answer.usage.total_tokens == len(ids) + 12
    ChatCompletion.model_validate(answer.to_dict())


def test_parts_and_the_developers_role_are_the_same_conversation(
    tiny: Path, replica: Parent, client: Any
) -> None:
    # given one conversation in two spellings
    plain = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Go on."}]
    parts = [
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Go "}, {"type": "text", "text": "on."}],
        },
    ]
    # when both are asked
    chat = client(customer()).chat.completions
    answers = [
        chat.create(model="tiny", messages=messages, temperature=0, max_completion_tokens=8)
        for messages in (plain, parts)
    ]
    # then they are one
    assert answers[0].choices[0].message.content == answers[1].choices[0].message.content
    assert answers[0].usage == answers[1].usage
    assert answers[0].usage.prompt_tokens == len(prompt_ids(tiny, plain))


def test_a_stream_brings_role_text_end_usage_and_done(
    tiny: Path, replica: Parent, client: Any
) -> None:
    # when the answer is streamed, with usage
    chunks = list(
        client(customer()).chat.completions.create(
            model="tiny",
            messages=HELLO,
            temperature=0,
            max_tokens=12,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    # then each chunk is one of the SDK's, under one id
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.to_dict())
    assert len({chunk.id for chunk in chunks}) == 1
    # and together they are the whole answer
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    ids = prompt_ids(tiny, HELLO)
    assert text == written(tiny, ids, temperature=0, max_tokens=12)
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].choices == []
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (len(ids), 12)
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_several_choices_stop_texts_and_seeds(tiny: Path, replica: Parent, client: Any) -> None:
    chat = client(customer()).chat.completions
    asked = {"model": "tiny", "messages": HELLO, "max_tokens": 10, "seed": 7, "temperature": 1.0}
    # when three choices are drawn twice from one seed
    first, second = (chat.create(n=3, **asked) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    # then they repeat, and each is what its own seed gives
    assert texts == [choice.message.content for choice in second.choices]
    ids = prompt_ids(tiny, HELLO)
    assert texts == [written(tiny, ids, max_tokens=10, seed=7 + n) for n in range(3)]
    assert first.usage.prompt_tokens == len(ids)
    # when a text of the first is a stop
    stop = texts[0][2:5]
    stopped = chat.create(stop=[stop], **asked)
    # then the answer ends before it
    assert stopped.choices[0].message.content == texts[0].split(stop)[0]
    assert stopped.choices[0].finish_reason == "stop"


def test_logprobs_are_transformers_own(tiny: Path, replica: Parent, client: Any) -> None:
    # when logprobs are asked for
    answer = client(customer()).chat.completions.create(
        model="tiny", messages=HELLO, temperature=0, max_tokens=4, logprobs=True, top_logprobs=3
    )
    content = answer.choices[0].logprobs.content
    # then the first token's is what transformers computes
    ids = prompt_ids(tiny, HELLO)
    with torch.no_grad():
        logs = reference_model(tiny)(torch.tensor([ids])).logits[0, -1].log_softmax(0)
    assert content[0].logprob == pytest.approx(float(logs.max()), abs=1e-4)
    expected = logs.topk(3).values.tolist()
    assert [top.logprob for top in content[0].top_logprobs] == pytest.approx(expected, abs=1e-4)
    assert "".join(entry.token for entry in content) == answer.choices[0].message.content


def test_many_async_streams_at_once_do_not_mix(tiny: Path, replica: Parent, web: str) -> None:
    # given eight conversations
    acme = customer()
    questions = [[{"role": "user", "content": f"Number {n}"}] for n in range(8)]

    async def ask(client: AsyncOpenAI, messages: Any) -> str:
        stream = await client.chat.completions.create(
            model="tiny", messages=messages, temperature=0, max_tokens=10, stream=True
        )
        return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

    async def all_at_once() -> list[str]:
        async with AsyncOpenAI(api_key=acme.key, base_url=f"{web}/v1") as client:
            return await asyncio.gather(*(ask(client, messages) for messages in questions))

    # when they run together
    found = asyncio.run(all_at_once())
    # then each is what it would be alone
    assert found == [
        written(tiny, prompt_ids(tiny, messages), temperature=0, max_tokens=10)
        for messages in questions
    ]
