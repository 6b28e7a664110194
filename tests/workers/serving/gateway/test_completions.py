"""The older completions endpoint through the real client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError
from openai.types import Completion

from tests.workers.serving.factories import customer
from tests.workers.serving.gateway.directly import text_ids, written
from tests.workers.serving.replicas import Parent

pytestmark = pytest.mark.django_db


def test_texts_and_token_ids_are_continued_in_order(
    tiny: Path, replica: Parent, client: Any
) -> None:
    completions = client(customer()).completions
    texts = ["Lists hold", "A number is"]
    ids = [text_ids(tiny, text) for text in texts]
    # when two prompts are continued, two choices each
    answer = completions.create(model="tiny", prompt=texts, n=2, max_tokens=6, temperature=0)
    Completion.model_validate(answer.to_dict())
    # then the choices are grouped by prompt, each the engine's own
    expected = [written(tiny, each, temperature=0, max_tokens=6) for each in ids]
    assert [c.text for c in answer.choices] == [expected[0]] * 2 + [expected[1]] * 2
    assert [c.index for c in answer.choices] == [0, 1, 2, 3]
    assert answer.usage.prompt_tokens == sum(map(len, ids))
    assert answer.usage.completion_tokens == 24
    # and token ids mean the same
    by_ids = completions.create(model="tiny", prompt=ids, max_tokens=6, temperature=0)
    assert [c.text for c in by_ids.choices] == expected


def test_sixteen_tokens_unless_told_and_streams_join(
    tiny: Path, replica: Parent, client: Any
) -> None:
    completions = client(customer()).completions
    asked: dict[str, Any] = {"model": "tiny", "prompt": "Lists", "temperature": 0, "seed": 1}
    whole = completions.create(**asked, logit_bias={"0": -100})
    assert whole.usage.completion_tokens == 16
    chunks = list(
        completions.create(
            **asked, logit_bias={"0": -100}, stream=True, stream_options={"include_usage": True}
        )
    )
    for chunk in chunks:
        # before its end a choice has no finish_reason, which OpenAI's own type does not know
        shown = chunk.to_dict()
        for choice in shown["choices"]:
            choice["finish_reason"] = choice["finish_reason"] or "length"
        Completion.model_validate(shown)
    assert "".join(c.choices[0].text for c in chunks[:-1]) == whole.choices[0].text
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage == whole.usage


def test_logprobs_are_parallel_lists(replica: Parent, client: Any) -> None:
    answer = client(customer()).completions.create(
        model="tiny", prompt="Lists", max_tokens=5, temperature=0, logprobs=2
    )
    logprobs = answer.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.text_offset) == 5
    assert logprobs.text_offset[0] == 0
    for logprob, top in zip(logprobs.token_logprobs, logprobs.top_logprobs, strict=True):
        assert len(top) == 2
        assert max(top.values()) == pytest.approx(logprob)  # greedy takes the likeliest


@pytest.mark.parametrize(
    "asked",
    [{"prompt": ""}, {"prompt": []}, {"prompt": [9999]}, {"prompt": "x", "echo": True},
     {"prompt": "x", "suffix": "y"}, {"prompt": "x", "best_of": 3}, {"prompt": ["x"] * 65},
     {"prompt": "x", "logprobs": 6}, {"prompt": "x " * 300}],
)  # fmt: skip
def test_bad_input_is_refused(replica: Parent, client: Any, asked: Any) -> None:
    with pytest.raises(BadRequestError) as refused:
        client(customer()).completions.create(model="tiny", **asked)
    assert refused.value.body["message"]
