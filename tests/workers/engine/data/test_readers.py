"""Training files: a bad row is told by line, field, reason and fix, and nothing else is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workers.engine.data.chat import ChatTemplate
from workers.engine.data.problems import Problem
from workers.engine.data.readers import LINE_LIMIT, Example, read_examples
from workers.engine.data.tokens import Tokenizer

GOOD = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


def read(base: Path, path: Path, policy: str = "error", max_length: int = 64) -> list[Any]:
    tokenizer, template = Tokenizer.load(base), ChatTemplate.load(base)
    return list(read_examples(path, tokenizer, template, policy, max_length))


def read_bytes(base: Path, tmp_path: Path, content: bytes, **how: Any) -> list[Any]:
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)
    return read(base, path, **how)


def chat(*messages: dict[str, Any]) -> bytes:
    return json.dumps({"messages": list(messages)}).encode()


USER = {"role": "user", "content": "a"}
BAD_LINES = [
    (b"{", "line", "not_json"),
    (b"not json", "line", "not_json"),
    (b"[" * 100_000, "line", "not_json"),
    (b"[1]", "line", "not_an_object"),
    (b'{"text": "\xff"}', "line", "not_utf8"),
    (b'{"text": "\\ud800"}', "line", "not_text"),
    (b"{}", "line", "unknown_format"),
    (b'{"inputs": "a"}', "line", "unknown_format"),
    (b'{"messages": []}', "messages", "no_messages"),
    (b'{"messages": "hi"}', "messages", "no_messages"),
    (chat(*[USER] * 1025), "messages", "too_many_messages"),
    (chat(USER), "messages", "no_assistant"),
    (chat(USER, {"role": "robot", "content": "b"}), "messages[1].role", "wrong_role"),
    (chat(USER, {"content": "b"}), "messages[1].role", "wrong_role"),
    (b'{"messages": ["a"]}', "messages[0]", "not_an_object"),
    (chat(USER, {"role": "assistant"}), "messages[1].content", "not_text"),
    (chat(USER, {"role": "assistant", "content": 3}), "messages[1].content", "not_text"),
    (
        chat(USER, {"role": "assistant", "content": "b", "weight": 2}),
        "messages[1].weight",
        "wrong_weight",
    ),
    (
        chat(USER, {"role": "assistant", "content": "b", "weight": 0}),
        "messages",
        "nothing_to_learn",
    ),
    (
        chat({"role": "tool", "content": "x"}, {"role": "assistant", "content": "b"}),
        "messages",
        "template",
    ),
    (b'{"prompt": "a"}', "completion", "not_text"),
    (b'{"prompt": 1, "completion": "b"}', "prompt", "not_text"),
    (b'{"prompt": "a", "completion": ""}', "completion", "empty"),
    (b'{"text": "' + b"word " * 500 + b'"}', "line", "too_long"),
    (b'{"text": "' + b"a" * (5 * 2**20) + b'"}', "line", "line_too_long"),
]


@pytest.mark.parametrize(("line", "field", "code"), BAD_LINES, ids=lambda v: str(v)[:24])
def test_a_bad_line_is_told_and_its_neighbours_are_kept(
    base: Path, tmp_path: Path, line: bytes, field: str, code: str
) -> None:
    good = json.dumps(GOOD).encode()
    before, problem, after = read_bytes(base, tmp_path, b"\n".join([good, line, good]))
    assert (problem.line, problem.field, problem.code) == (2, field, code)
    assert problem.reason
    assert problem.fix
    assert (before.line, after.line) == (1, 3)
    assert before.ids == after.ids


def test_a_line_of_just_the_limit_is_read(base: Path, tmp_path: Path) -> None:
    line = b'{"text": "ab"' + b" " * (LINE_LIMIT - 14) + b"}"
    assert len(line) == LINE_LIMIT
    (example,) = read_bytes(base, tmp_path, line + b"\n")
    assert isinstance(example, Example)


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
def test_an_empty_file_is_a_problem(base: Path, tmp_path: Path, content: bytes) -> None:
    (problem,) = read_bytes(base, tmp_path, content)
    assert (problem.line, problem.code) == (0, "empty")


def test_byte_order_mark_blank_lines_and_windows_line_ends_are_no_problem(
    base: Path, tmp_path: Path
) -> None:
    line = json.dumps(GOOD).encode()
    found = read_bytes(base, tmp_path, b"\xef\xbb\xbf" + line + b"\r\n\r\n" + line + b"\r\n")
    assert [example.line for example in found] == [1, 3]


def test_text_parts_are_joined_and_developer_means_system(base: Path, tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]
    rows = [
        chat({"role": "developer", "content": "s"}, {"role": "assistant", "content": parts}),
        chat({"role": "system", "content": "s"}, {"role": "assistant", "content": "bc"}),
    ]
    one, two = read_bytes(base, tmp_path, b"\n".join(rows))
    assert one.ids == two.ids


def long_row(base: Path) -> tuple[bytes, int]:
    text = "one two three four five six seven " * 6
    return json.dumps({"text": text}).encode(), Tokenizer.load(base).count(text) + 1


def test_truncate_keeps_the_beginning_and_says_how_much_is_lost(base: Path, tmp_path: Path) -> None:
    line, size = long_row(base)
    (example,) = read_bytes(base, tmp_path, line, policy="truncate", max_length=16)
    assert (len(example.ids), example.cut) == (16, size - 16)


def test_truncate_refuses_a_row_whose_answer_is_cut_away(base: Path, tmp_path: Path) -> None:
    row = json.dumps({"prompt": "word " * 50, "completion": "answer"}).encode()
    (problem,) = read_bytes(base, tmp_path, row, policy="truncate", max_length=16)
    assert isinstance(problem, Problem)
    assert problem.code == "nothing_left"


def test_split_learns_every_token_exactly_once(base: Path, tmp_path: Path) -> None:
    line, size = long_row(base)
    whole = read_bytes(base, tmp_path, line, max_length=size)[0]
    pieces = read_bytes(base, tmp_path, line, policy="split", max_length=16)
    learned = [t for p in pieces for t, on in zip(p.ids, p.mask, strict=True) if on]
    assert learned == [t for t, on in zip(whole.ids, whole.mask, strict=True) if on]
    assert all(len(piece.ids) <= 16 and piece.mask[0] == 0 for piece in pieces)


def test_chats_without_a_template_are_refused(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text(json.dumps(GOOD))
    (problem,) = read_examples(path, Tokenizer.load(base), None, "error", 64)
    assert isinstance(problem, Problem)
    assert problem.code == "no_template"
