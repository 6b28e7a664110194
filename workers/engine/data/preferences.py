"""Pairs of outputs, one preferred, line by line, in OpenAI's preference format.

`{"input": {"messages": […]}, "preferred_output": […], "non_preferred_output": […]}`; or, in plain
texts, `{"prompt": …, "chosen": …, "rejected": …}`.
https://platform.openai.com/docs/guides/direct-preference-optimization
Free of torch; the dataset service counts and validates with it.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from workers.engine.data.chat import ChatTemplate
from workers.engine.data.packing import Ints
from workers.engine.data.problems import Problem
from workers.engine.data.readers import Example, encode_row, json_line, numbered_lines
from workers.engine.data.rows import RowError, parse
from workers.engine.data.shards import Shards, Sizes
from workers.engine.data.tokens import Encoded, Tokenizer

PREFERRED, REJECTED = "preferred_output", "non_preferred_output"
_PLACE = re.compile(r"messages\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Preference:
    """The same prompt with two outputs, as token ids and loss masks; `cut` tokens were left off."""

    line: int
    preferred: Encoded
    rejected: Encoded
    cut: int = 0

    @property
    def tokens(self) -> int:
        return len(self.preferred[0]) + len(self.rejected[0])

    @property
    def loss_tokens(self) -> int:
        return sum(self.preferred[1]) + sum(self.rejected[1])

    @property
    def longest(self) -> int:
        """Tokens of the longer one: each goes through the model by itself."""
        return max(len(self.preferred[0]), len(self.rejected[0]))

    def fingerprint(self) -> bytes:
        """64 bits of the content."""
        content = b"/".join(
            array("i", ids).tobytes() + bytes(mask) for ids, mask in (self.preferred, self.rejected)
        )
        return hashlib.blake2b(content, digest_size=8).digest()


def preferences_read(
    handle: BinaryIO,
    tokenizer: Tokenizer,
    template: ChatTemplate | None,
    policy: str,
    max_length: int,
) -> Iterator[Preference | Problem]:
    """Read JSONL rows, in their order.

    One whose prompt with an output is longer than `max_length` tokens is refused, or cut where the
    policy is "truncate".
    """
    seen = False
    for line, raw in numbered_lines(handle):
        seen = True
        try:
            both = _outputs(json_line(raw))
            encoded = [_encoded(*each, tokenizer, template) for each in both]
            yield _fitted(line, encoded, policy, max_length)
        except RowError as error:
            yield Problem(line, error.field, error.code, error.reason, error.fix)
    if not seen:
        yield Problem(0, "file", "empty", "the file has no lines", "add one JSON object per line.")


def _outputs(row: Any) -> list[tuple[str, dict[str, Any], int]]:
    """For each output: its field, the row of supervised training, its place among the messages."""
    if isinstance(row, dict) and "prompt" in row:
        return [
            (name, {"prompt": row["prompt"], "completion": row.get(name)}, 0)
            for name in ("chosen", "rejected")
        ]
    given = row.get("input") if isinstance(row, dict) else None
    messages = given.get("messages") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(messages, list) or not messages:
        raise RowError(
            "input",
            "no_input",
            "the input is no object with messages",
            f'write {{"input": {{"messages": […]}}, "{PREFERRED}": […], "{REJECTED}": […]}}.',
        )
    said = [{**m, "weight": 0} if isinstance(m, dict) else m for m in messages]
    return [
        (name, {"messages": [*said, *_answer(row, name)], "tools": given.get("tools")}, len(said))
        for name in (PREFERRED, REJECTED)
    ]


def _answer(row: dict[str, Any], name: str) -> list[Any]:
    answer = row.get(name)
    (only,) = answer if isinstance(answer, list) and len(answer) == 1 else (None,)
    if not isinstance(only, dict) or only.get("role") != "assistant":
        raise RowError(
            name,
            "no_output",
            f"{name} is no list of one message of the assistant",
            'write [{"role": "assistant", "content": "…"}].',
        )
    return [{**only, "weight": 1}]


def _encoded(
    name: str,
    row: dict[str, Any],
    answer_at: int,
    tokenizer: Tokenizer,
    template: ChatTemplate | None,
) -> Encoded:
    try:
        return encode_row(parse(row), tokenizer, template)
    except RowError as error:
        found = _PLACE.match(error.field)
        field = f"input.{error.field}"
        if error.field == "completion" or (found and int(found[1]) == answer_at):
            field = name
        elif error.field in {"prompt", "line"}:
            field = error.field
        raise RowError(field, error.code, error.reason, error.fix) from error


def _fitted(line: int, encoded: list[Encoded], policy: str, max_length: int) -> Preference:
    if encoded[0][0] == encoded[1][0]:
        fix = "write another, or drop the line."
        raise RowError(REJECTED, "same_output", "both outputs are the same", fix)
    longest = max(len(ids) for ids, _ in encoded)
    if longest > max_length and policy != "truncate":
        raise RowError(
            "line",
            "too_long",
            f"the row is {longest} tokens long, max_length is {max_length}",
            "shorten it, raise max_length, or choose length_policy truncate.",
        )
    kept = [(ids[:max_length], mask[:max_length]) for ids, mask in encoded]
    if not all(any(mask) for _, mask in kept) or kept[0][0] == kept[1][0]:
        raise RowError(
            "line",
            "nothing_left",
            f"the first {max_length} tokens hold no difference to learn",
            "shorten the input, or raise max_length.",
        )
    cut = sum(len(ids) for ids, _ in encoded) - sum(len(ids) for ids, _ in kept)
    return Preference(line, kept[0], kept[1], cut)


@dataclass
class Preferences:
    """Pairs on disk: sequences 2·i and 2·i + 1 of the shards are what is preferred, and what not.

    `reference`: (N, 2) log-probabilities of the outputs under the model before training, in nats.
    """

    shards: Shards
    sizes: Sizes
    lengths: Ints
    reference: Ints | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @classmethod
    def write(cls, found: Iterable[Preference | Problem], folder: Path, *, vocabulary: int) -> Self:
        """Store what was read and open it.

        Raises:
            DataError: the data hold a problem, or a token that the model does not know.
        """

        def sequences() -> Iterator[Example | Problem]:
            for each in found:
                if isinstance(each, Problem):
                    yield each
                    continue
                yield Example(each.line, *each.preferred, cut=each.cut)
                yield Example(each.line, *each.rejected)

        shards = Shards.write(sequences(), folder, vocabulary=vocabulary)
        lengths: Ints = np.asarray(shards.lengths).reshape(-1, 2).sum(1)
        whole = shards.sizes
        sizes = Sizes(len(lengths), whole.tokens, whole.loss_tokens, whole.cut_tokens)
        return cls(shards, sizes, lengths)
