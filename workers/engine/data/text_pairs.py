"""Texts that belong together, line by line: `{"anchor": …, "positive": …}`, maybe a `negative`.

Free of torch; the dataset service counts and validates with it.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from workers.engine.data.packing import Ints
from workers.engine.data.problems import Problem
from workers.engine.data.readers import Example, json_line, numbered_lines
from workers.engine.data.rows import RowError
from workers.engine.data.shards import Shards, Sizes
from workers.engine.data.tokens import Tokenizer
from workers.engine.errors import DataError

FIELDS = ("anchor", "positive", "negative")
FEWEST = 2


@dataclass(frozen=True, slots=True)
class TextPair:
    """Two or three texts as token ids, in the order of `FIELDS`; `cut` tokens were left off."""

    line: int
    texts: tuple[list[int], ...]
    cut: int = 0

    @property
    def tokens(self) -> int:
        return sum(map(len, self.texts))

    @property
    def loss_tokens(self) -> int:
        return 1

    @property
    def longest(self) -> int:
        """Tokens of the longest text: each goes through the model by itself."""
        return max(map(len, self.texts))

    def fingerprint(self) -> bytes:
        """64 bits of the content."""
        content = b"/".join(array("i", ids).tobytes() for ids in self.texts)
        return hashlib.blake2b(content, digest_size=8).digest()


def pairs_read(
    handle: BinaryIO, tokenizer: Tokenizer, policy: str, max_length: int, *, training: bool
) -> Iterator[TextPair | Problem]:
    """Read JSONL rows with `anchor`, `positive` and perhaps `negative`, in their order.

    A text longer than `max_length` tokens is refused, or cut where the policy is "truncate". With
    `training` there must be two pairs at least, for each learns from the others.
    """
    seen = 0
    for line, raw in numbered_lines(handle):
        try:
            found = _row(line, json_line(raw), tokenizer, policy, max_length)
        except RowError as error:
            yield Problem(line, error.field, error.code, error.reason, error.fix)
            continue
        seen += 1
        yield found
    fix = 'add one object a line: {"anchor": "…", "positive": "…"}.'
    if not seen:
        yield Problem(0, "file", "empty", "the file has no usable lines", fix)
    elif training and seen < FEWEST:
        reason = "one pair teaches nothing: each is told apart from the others"
        yield Problem(0, "file", "too_few", reason, fix)


def _row(line: int, row: Any, tokenizer: Tokenizer, policy: str, max_length: int) -> TextPair:
    if not isinstance(row, dict):
        fix = 'write {"anchor": …, "positive": …}.'
        raise RowError("line", "not_an_object", "the line is no object", fix)
    fields = FIELDS if row.get("negative") is not None else FIELDS[:2]
    each = [_ids(row.get(field), field, tokenizer) for field in fields]
    if len(each) > 2 and each[1] == each[2]:
        fix = "write another, or leave it out."
        raise RowError("negative", "same_text", "the negative is the positive itself", fix)
    longest = max(map(len, each))
    if longest > max_length and policy != "truncate":
        raise RowError(
            fields[[len(ids) for ids in each].index(longest)],
            "too_long",
            f"the text is {longest} tokens long, max_length is {max_length}",
            "shorten it, or choose length_policy truncate.",
        )
    kept = tuple(_fitted(ids, max_length) for ids in each)
    return TextPair(line, kept, cut=sum(map(len, each)) - sum(map(len, kept)))


def _ids(text: Any, field: str, tokenizer: Tokenizer) -> list[int]:
    if not isinstance(text, str) or not text.strip():
        raise RowError(
            field, "no_text", f"the {field} is missing or empty", "write it, or drop the line."
        )
    try:
        return tokenizer.encode_whole(text)
    except DataError as error:
        raise RowError(field, "not_text", str(error), "write valid Unicode.") from error


def _fitted(ids: list[int], max_length: int) -> list[int]:
    """Cut to `max_length`, with the token that closes every text still at the end."""
    return ids if len(ids) <= max_length else [*ids[: max_length - 1], ids[-1]]


@dataclass(frozen=True)
class Pairs:
    """Pairs on disk. `texts`: (N, 3), the place of each text in the shards; -1 = no negative."""

    shards: Shards
    texts: Ints
    sizes: Sizes
    lengths: Ints

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def write(cls, pairs: Iterable[TextPair | Problem], folder: Path, *, vocabulary: int) -> Self:
        """Store `pairs` and open them.

        Raises:
            DataError: the data hold a problem, or a token that the model does not know.
        """
        places: list[list[int]] = []
        lengths: list[int] = []
        cut = 0

        def texts() -> Iterator[Example | Problem]:
            nonlocal cut
            count = 0
            for pair in pairs:
                if isinstance(pair, Problem):
                    yield pair
                    continue
                last = len(pair.texts)
                places.append([count + i if i < last else -1 for i in range(len(FIELDS))])
                lengths.append(pair.tokens)
                count, cut = count + last, cut + pair.cut
                for ids in pair.texts:
                    yield Example(pair.line, ids, [0] * len(ids))

        shards = Shards.write(texts(), folder, vocabulary=vocabulary)
        sizes = Sizes(len(places), sum(lengths), len(places), cut)
        return cls(shards, np.array(places), sizes, np.array(lengths))
