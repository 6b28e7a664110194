"""English that Python itself carries, in three parts that share no paragraph.

The reference's topics alone are too little to learn from and yet keep unseen rows aside; the
library's docstrings treble them.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from workers.engine.base.text import sections

LEAST, MOST = 200, 900  # characters of a row; the most are some 250 tokens
SKIPPED = {"test", "tests", "site-packages", "idlelib", "__pycache__", "pydoc_data"}
PARTS = {"train": 8, "validation": 1, "test": 1}  # tenths


@cache
def parts() -> dict[str, tuple[str, ...]]:
    """Rows by part; whoever comes first keeps a paragraph that several documents have.

    A document's rows stay together.
    """
    found: dict[str, list[str]] = {name: [] for name in PARTS}
    owners = [name for name, tenths in PARTS.items() for _ in range(tenths)]
    seen: set[str] = set()
    for document in _documents():
        blocks = [b for b in re.split(r"\n\s*\n", document) if b.strip() and b not in seen]
        seen.update(blocks)
        place = int(hashlib.sha256(document.encode()).hexdigest(), 16) % len(owners)
        found[owners[place]] += [row for row in _rows(blocks) if len(row) >= LEAST]
    return {name: tuple(texts) for name, texts in found.items()}


def _rows(blocks: list[str]) -> Iterator[str]:
    """Whole paragraphs, as many together as fit; one that is too long is cut."""
    row = ""
    for block in (b[start : start + MOST] for b in blocks for start in range(0, len(b), MOST)):
        if row and len(row) + len(block) > MOST:
            yield row
            row = ""
        row = f"{row}\n\n{block}".lstrip("\n")
    yield row


def _documents() -> Iterator[str]:
    for section in sections():
        yield "\n\n".join((section.title, *section.paragraphs))
    yield from docstrings()


def docstrings() -> Iterator[str]:
    """All of the standard library's, by file; an empty one where there is none."""
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(library.rglob("*.py")):
        if not SKIPPED & set(path.relative_to(library).parts):
            yield from _docstrings(path)


def _docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (SyntaxError, UnicodeDecodeError):  # kept by the library for its own tests
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
