"""Labelled texts, line by line: `{"text": …, "label": …}`, and every problem with its remedy.

Free of torch; the dataset service counts and validates with it.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from workers.engine.data.classes import Seen, label_read
from workers.engine.data.problems import Problem
from workers.engine.data.readers import json_line, numbered_lines
from workers.engine.data.rows import RowError
from workers.engine.data.tokens import Tokenizer
from workers.engine.errors import DataError


@dataclass(frozen=True, slots=True)
class LabelledText:
    """One text as token ids, with its class; `cut` tokens were left off."""

    line: int
    ids: list[int]
    label: str
    cut: int = 0

    @property
    def tokens(self) -> int:
        return len(self.ids)

    @property
    def loss_tokens(self) -> int:
        return 1

    def fingerprint(self) -> bytes:
        """64 bits of the content."""
        content = array("i", self.ids).tobytes() + self.label.encode()
        return hashlib.blake2b(content, digest_size=8).digest()


def labelled_read(
    handle: BinaryIO, tokenizer: Tokenizer, policy: str, max_length: int, *, training: bool
) -> Iterator[LabelledText | Problem]:
    """Read JSONL rows with `text` and `label`, in their order.

    A text longer than `max_length` tokens is refused, or cut where the policy is "truncate". With
    `training`, there must be two classes, of two examples each, at least.
    """
    seen = Seen()
    for line, raw in numbered_lines(handle):
        try:
            found = _row(line, json_line(raw), tokenizer, policy, max_length)
        except RowError as error:
            yield Problem(line, error.field, error.code, error.reason, error.fix)
            continue
        seen.add(found.label, line)
        yield found
    if not seen:
        fix = 'add one object a line: {"text": "…", "label": "…"}.'
        yield Problem(0, "file", "empty", "the file has no usable lines", fix)
    elif training:
        yield from seen.problems()


def _row(line: int, row: Any, tokenizer: Tokenizer, policy: str, max_length: int) -> LabelledText:
    if not isinstance(row, dict):
        raise RowError(
            "line", "not_an_object", "the line is no object", 'write {"text": …, "label": …}.'
        )
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        raise RowError(
            "text", "no_text", "the text is missing or empty", "write it, or drop the line."
        )
    label = label_read(row.get("label"))
    try:
        ids = tokenizer.encode_whole(text)
    except DataError as error:
        raise RowError("text", "not_text", str(error), "write valid Unicode.") from error
    if len(ids) <= max_length:
        return LabelledText(line, ids, label)
    if policy != "truncate":
        raise RowError(
            "text",
            "too_long",
            f"the text is {len(ids)} tokens long, max_length is {max_length}",
            "shorten it, or choose length_policy truncate.",
        )
    return LabelledText(line, ids[:max_length], label, cut=len(ids) - max_length)
