"""Writing text, on real rows held out, against the untouched base and tokens counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workers.engine.factories import spec, write_jsonl
from tests.workers.engine.tasks.factories import trained
from tests.workers.engine.tasks.texts import translation_pairs
from workers.engine.base.build import Size, base_build
from workers.engine.base.text import rows
from workers.engine.data.chat import ChatTemplate
from workers.engine.data.readers import Example, read_examples
from workers.engine.data.tokens import Tokenizer

SMALL = Size(
    vocabulary=600,
    hidden=64,
    intermediate=176,
    layers=2,
    context=256,
    spread=0.125,
    epochs=1,
)
LENGTH = 160  # tokens


@dataclass(frozen=True)
class Topics:
    """A small base that has read what Python says of itself, but for some sections."""

    base: Path
    train: list[dict[str, Any]]
    held_out: list[dict[str, Any]]


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Topics:
    every = list(rows())  # each section as a text, then as a chat
    order = np.random.default_rng(0).permutation(len(every) // 2)
    texts, chats = ([every[2 * place + part] for place in order] for part in (0, 1))
    base = tmp_path_factory.mktemp("topics") / "base"
    base_build(base, lambda _: None, size=SMALL, data=texts[20:80])
    return Topics(base, chats[20:], chats[:20])


def examples(base: Path, path: Path) -> list[Example]:
    """The rows of a file as they are learned."""
    tokens, template = Tokenizer.load(base), ChatTemplate.load(base)
    found = list(read_examples(path, tokens, template, "truncate", LENGTH))
    assert all(isinstance(each, Example) for each in found)
    return found  # type: ignore[return-value]


def counted_loss(train: Sequence[Example], held_out: Sequence[Example]) -> float:
    """Nats a learned token of held-out rows, by how often it comes in the others (Laplace)."""
    counts = Counter(token for each in train for token in learned(each))
    total = counts.total() + SMALL.vocabulary
    losses = [-math.log((counts[t] + 1) / total) for each in held_out for t in learned(each)]
    return sum(losses) / len(losses)


def learned(example: Example) -> list[int]:
    return [token for token, on in zip(example.ids, example.mask, strict=True) if on]


def test_sections_never_read_are_explained_better(topics: Topics, tmp_path: Path) -> None:
    train, held_out = (
        write_jsonl(tmp_path / name, given)
        for name, given in (("t.jsonl", topics.train), ("v.jsonl", topics.held_out))
    )
    settings = spec(
        method="full", epochs=4, max_length=LENGTH, length_policy="truncate", learning_rate=3e-3
    )
    found = trained(topics.base, settings, train, tmp_path / "run", validation=held_out).metrics

    counted = counted_loss(examples(topics.base, train), examples(topics.base, held_out))
    assert found["validation_loss"] < found["initial_validation_loss"] - 0.2
    assert found["validation_loss"] < counted - 0.2


def test_messages_never_read_are_translated_better(topics: Topics, tmp_path: Path) -> None:
    """English to German, from Django's own catalogues, by an adapter."""
    every = [
        {"prompt": f"{row['anchor']} = ", "completion": row["positive"]}
        for row in translation_pairs("de")
    ]
    train, held_out = (
        write_jsonl(tmp_path / name, given)
        for name, given in (("t.jsonl", every[60:]), ("v.jsonl", every[:60]))
    )
    settings = spec(epochs=5, max_length=LENGTH, lora={"rank": 16}, learning_rate=1e-2)
    found = trained(topics.base, settings, train, tmp_path / "run", validation=held_out).metrics

    counted = counted_loss(examples(topics.base, train), examples(topics.base, held_out))
    assert found["validation_loss"] < found["initial_validation_loss"] - 0.2
    assert found["validation_loss"] < counted - 0.2
