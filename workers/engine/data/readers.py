"""Training files, line by line: examples ready to train on, and every problem with its remedy.

Memory is bounded by one line. Free of torch; the dataset service counts and validates with it.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from workers.engine.data.chat import ChatTemplate
from workers.engine.data.problems import Problem
from workers.engine.data.rows import Chat, Completion, RowError, parse
from workers.engine.data.tokens import Encoded, Tokenizer
from workers.engine.errors import DataError, TemplateError

LINE_LIMIT = 4 * 2**20  # bytes


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence to train on.

    `ids` and `mask` (1 = learned) are equally long; `cut` tokens were left off.
    """

    line: int
    ids: list[int]
    mask: list[int]
    cut: int = 0

    @property
    def tokens(self) -> int:
        return len(self.ids)

    @property
    def loss_tokens(self) -> int:
        return sum(self.mask)

    def fingerprint(self) -> bytes:
        """64 bits: a million examples collide with probability 3·10⁻⁸."""
        content = array("i", self.ids).tobytes() + bytes(self.mask)
        return hashlib.blake2b(content, digest_size=8).digest()


def read_examples(
    path: Path, tokenizer: Tokenizer, template: ChatTemplate | None, policy: str, max_length: int
) -> Iterator[Example | Problem]:
    """Read a JSONL file, as `read_stream` does."""
    with path.open("rb") as handle:
        yield from read_stream(handle, tokenizer, template, policy, max_length)


def read_stream(
    handle: BinaryIO,
    tokenizer: Tokenizer,
    template: ChatTemplate | None,
    policy: str,
    max_length: int,
) -> Iterator[Example | Problem]:
    """Read JSONL rows of chats, completions or texts, in their order.

    A row longer than `max_length` tokens is refused ("error"), cut ("truncate") or given out in
    pieces ("split"; pieces overlap by one token, so that each learned token keeps a predecessor).
    """
    seen = False
    for line, raw in numbered_lines(handle):
        seen = True
        try:
            encoded = encode_row(parse(json_line(raw)), tokenizer, template)
            yield from _fitted(line, encoded, policy, max_length)
        except RowError as error:
            yield Problem(line, error.field, error.code, error.reason, error.fix)
    if not seen:
        yield Problem(0, "file", "empty", "the file has no lines", "add one JSON object per line.")


def numbered_lines(handle: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not blank.

    One past the limit comes cut just past it, and its rest is skipped.
    """
    number = 0
    while raw := handle.readline(LINE_LIMIT + 2):
        number += 1
        rest = raw
        while rest and not rest.endswith(b"\n"):
            rest = handle.readline(LINE_LIMIT)
        if raw.strip():
            yield number, raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw


def json_line(raw: bytes) -> Any:
    """The JSON value of one line. Raises RowError."""
    if len(raw.rstrip(b"\r\n")) > LINE_LIMIT:
        raise RowError(
            "line", "line_too_long", "the line is longer than 4 MiB", "split it into several lines."
        )
    try:
        row: Any = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RowError(
            "line",
            "not_utf8",
            f"byte {error.start} of the line is not UTF-8",
            "save the file as UTF-8.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise RowError(
            "line", "not_json", f"the line is not JSON ({error})", "write one JSON object per line."
        ) from error
    return row


def encode_row(
    row: Chat | Completion, tokenizer: Tokenizer, template: ChatTemplate | None
) -> Encoded:
    """A row's token ids and loss mask. Raises RowError."""
    try:
        if isinstance(row, Completion):
            return tokenizer.encode_completion(row.prompt, row.completion)
        if template is None:
            raise RowError(
                "messages",
                "no_template",
                "the base model has no chat template",
                'use "prompt" and "completion", or a base model made for chats.',
            )
        messages = [tokenizer.shield.message(message) for message in row.messages]
        tools = tokenizer.shield.value(row.tools)
        return tokenizer.encode_segments(template.segments(messages, tools))
    except TemplateError as error:
        raise RowError(
            "messages", "template", str(error), "change the messages' roles or order."
        ) from error
    except DataError as error:
        raise RowError("line", "not_text", str(error), "write valid Unicode.") from error


def _fitted(line: int, encoded: Encoded, policy: str, max_length: int) -> Iterator[Example]:
    ids, mask = encoded
    if not any(mask):
        raise RowError(
            "messages",
            "nothing_to_learn",
            "no token of this row is to be learned",
            "check the weights.",
        )
    if len(ids) <= max_length:
        yield Example(line, ids, mask)
    elif policy == "split":
        yield from _pieces(line, ids, mask, max_length)
    elif policy == "truncate":
        if not any(mask[:max_length]):
            raise RowError(
                "line",
                "nothing_left",
                f"the first {max_length} of {len(ids)} tokens hold nothing to learn",
                "shorten the prompt, or raise max_length.",
            )
        yield Example(line, ids[:max_length], mask[:max_length], cut=len(ids) - max_length)
    else:
        raise RowError(
            "line",
            "too_long",
            f"the row is {len(ids)} tokens long, max_length is {max_length}",
            "shorten it, raise max_length, or choose length_policy truncate or split.",
        )


def _pieces(line: int, ids: list[int], mask: list[int], max_length: int) -> Iterator[Example]:
    for start in range(0, len(ids) - 1, max_length - 1):
        piece = slice(start, start + max_length)
        learned = [0, *mask[piece][1:]]
        if any(learned):
            yield Example(line, ids[piece], learned)
