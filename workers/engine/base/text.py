"""The English text that Python itself carries, cut into sections.

The local base model learns from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pydoc_data.topics import topics  # type: ignore[import-not-found, unused-ignore]
from typing import Any

UNDERLINE = re.compile(r"^([*=\-~^\"])\1{2,}$")
ANSWER_LIMIT = 900  # characters, about 250 tokens
QUESTIONS = ("Explain {}.", "What does Python's reference say about {}?", "Tell me about {}.")


@dataclass(frozen=True)
class Section:
    """A heading of the Python reference and the paragraphs under it."""

    title: str
    paragraphs: tuple[str, ...]


def sections() -> list[Section]:
    """All sections of `pydoc_data.topics`, in the order of their topics' names."""
    found = []
    for name in sorted(topics):
        found += list(_sections_of(name, topics[name].splitlines()))
    return found


def _sections_of(name: str, lines: list[str]) -> Iterator[Section]:
    title = name
    body: list[str] = []
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if line.strip() and UNDERLINE.match(following):
            yield from _section(title, body)
            title, body = line.strip(), []
        elif not UNDERLINE.match(line):
            body.append(line)
    yield from _section(title, body)


def _section(title: str, body: list[str]) -> Iterator[Section]:
    blocks = re.split(r"\n\s*\n", "\n".join(body))
    paragraphs = tuple(_unwrapped(block) for block in blocks if block.strip())
    if paragraphs:
        yield Section(title, paragraphs)


def _unwrapped(block: str) -> str:
    """Prose on one line; indented code as it is."""
    lines = block.strip("\n").split("\n")
    if lines[0].startswith("   "):
        return "\n".join(lines)
    return " ".join(line.strip() for line in lines)


def rows() -> Iterator[dict[str, Any]]:
    """Training rows: every section as plain text, and as a chat.

    In the chat the assistant explains the section's heading.
    """
    for number, section in enumerate(sections()):
        yield {"text": "\n\n".join((section.title, *section.paragraphs))}
        question = QUESTIONS[number % len(QUESTIONS)].format(section.title)
        yield {
            "messages": [
                {"role": "system", "content": "You explain Python."},
                {"role": "user", "content": question},
                {"role": "assistant", "content": _answer(section.paragraphs)},
            ][number % 2 :]
        }


def _answer(paragraphs: tuple[str, ...]) -> str:
    """As many whole paragraphs as fit the limit, at least the beginning of the first."""
    answer = paragraphs[0][:ANSWER_LIMIT]
    for paragraph in paragraphs[1:]:
        if len(answer) + len(paragraph) > ANSWER_LIMIT:
            break
        answer = f"{answer}\n\n{paragraph}"
    return answer
