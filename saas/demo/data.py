"""Real data for the demo, found on every machine that runs Python: no download, nothing invented.

The customer teaches a model what the standard library's functions do, from their own docstrings.
The rival teaches one to name characters, from the Unicode database. Both are in OpenAI's chat
format:
https://platform.openai.com/docs/guides/supervised-fine-tuning
"""

from __future__ import annotations

import importlib
import inspect
import json
import random
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_SKIPPED = {"antigravity", "this", "idlelib", "turtledemo", "tkinter", "test", "lib2to3"}
_MODULES = """
    argparse asyncio base64 bisect calendar codecs collections configparser contextlib copy csv
    datetime decimal difflib email fractions functools glob gzip hashlib heapq html http imaplib
    inspect io ipaddress itertools json locale logging mailbox math mimetypes operator os
    pathlib platform queue random re sched secrets select shelve shlex shutil signal smtplib
    socket sqlite3 ssl statistics string struct subprocess tarfile tempfile textwrap threading
    time timeit tokenize traceback types typing unicodedata unittest urllib.parse urllib.request
    uuid warnings weakref xml.dom zipfile zoneinfo
""".split()


@dataclass(frozen=True)
class Corpus:
    """One tenant's examples as JSONL bytes; the held-out part shares no question with the rest."""

    name: str
    training: bytes
    held_out: bytes
    question: str  # one of the held-out questions, to put to the finished model


def library_corpus(*, examples: int, held_out: int, seed: int = 7) -> Corpus:
    """What the standard library's functions and classes do, in the words of their docstrings."""
    pairs = [(f"What does {name} do?", summary) for name, summary in _documented()]
    return _corpus("standard-library", pairs, examples, held_out, seed)


def character_corpus(*, examples: int, held_out: int, seed: int = 7) -> Corpus:
    """The names of characters, from the Unicode database that Python carries."""
    pairs = [
        (f"Name the character U+{code:04X}.", name.capitalize() + ".")
        for code in range(0x20, 0x2FFF)
        if (name := unicodedata.name(chr(code), "")) and len(name) < 80
    ]
    return _corpus("unicode-names", pairs, examples, held_out, seed)


def _documented() -> Iterator[tuple[str, str]]:
    """Yield (qualified name, first paragraph of the docstring) of public functions and classes."""
    seen: set[str] = set()
    for module_name in _MODULES:
        if module_name.split(".")[0] in _SKIPPED or module_name.split(".")[0] not in _standard():
            continue
        for name, value in _public(module_name):
            summary = _summary(value)
            if summary and summary not in seen:
                seen.add(summary)
                yield f"{module_name}.{name}", summary


def _standard() -> frozenset[str]:
    return sys.stdlib_module_names


def _public(module_name: str) -> Iterable[tuple[str, object]]:
    module = importlib.import_module(module_name)
    for name, value in sorted(vars(module).items()):
        if name.startswith("_") or not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        yield name, value
        if inspect.isclass(value):
            members = sorted(vars(value).items())
            yield from (
                (f"{name}.{member}", method)
                for member, method in members
                if not member.startswith("_") and inspect.isroutine(method)
            )


def _summary(value: object) -> str:
    """The first paragraph, on one line; nothing for signatures and very short or long ones."""
    text = (inspect.getdoc(value) or "").split("\n\n")[0]
    line = " ".join(text.split())
    return line if 24 <= len(line) <= 300 and line[0].isalpha() and line.endswith(".") else ""


def _corpus(
    name: str, pairs: list[tuple[str, str]], examples: int, held_out: int, seed: int
) -> Corpus:
    random.Random(seed).shuffle(pairs)  # noqa: S311 -- an order, not a secret
    chosen = pairs[: examples + held_out]
    test, training = chosen[:held_out], chosen[held_out:]
    return Corpus(name, _jsonl(training), _jsonl(test), test[0][0])


def _jsonl(pairs: list[tuple[str, str]]) -> bytes:
    rows = (
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]
        }
        for question, answer in pairs
    )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
