"""Chat completions through the real client, gateway, replica process and engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from transformers import AutoTokenizer

from tests.workers.serving.factories import customer, text_base
from workers.engine.inference.generate import TextModel
from workers.engine.specs import GenerateSpec

pytestmark = pytest.mark.django_db

HELLO: list[Any] = [{"role": "user", "content": "Tell me of lists."}]


def prompt_ids(folder: Path, messages: list[Any]) -> list[int]:
    """Transformers' own rendering and tokenising."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def direct(folder: Path, ids: list[int], **spec: Any) -> str:
    """What the engine writes without any server."""
    steps = TextModel.load(folder).generate(ids, GenerateSpec(**spec))
    return "".join(step.text_delta for step in steps)


def test_an_answer_is_the_engines_own_and_counted_as_transformers_counts(
    tiny: Path, replica: Any, client: Any
) -> None:
    # given a base on offer with a replica
    text_base(tiny)
    acme = customer()
    replica("tiny")
    # when a customer asks with the ordinary client
    answer = client(acme).chat.completions.create(
        model="tiny", messages=HELLO, temperature=0, max_tokens=12
    )
    # then it is what the engine writes for transformers' own token ids
    ids = prompt_ids(tiny, HELLO)
    assert answer.choices[0].message.content == direct(tiny, ids, temperature=0, max_tokens=12)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len(ids)
    assert answer.usage.completion_tokens == 12
    ChatCompletion.model_validate(answer.to_dict())
