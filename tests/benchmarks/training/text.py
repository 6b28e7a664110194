"""Something real to learn: pieces of Python's reference, for a base that has read its docstrings.

A piece is a stretch of a section as long as the workload's law draws it, or what is left of the
section; its first part is the prompt. Sections that are held out give no piece to train on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from tests.benchmarks.compression.subject import VAR
from tests.benchmarks.compression.text import LEAST, docstrings
from tests.benchmarks.training.workload import (
    CONTEXT,
    PROMPT,
    SHORTEST,
    SIZES,
    VOCABULARY,
    lengths_draw,
)
from workers.engine.base.build import Size, base_build
from workers.engine.base.text import sections
from workers.engine.base.tokenizer import END
from workers.engine.data.readers import Example

HELD_OUT_EVERY = 5  # sections


def base(size: str) -> Path:
    """A folder with that size's shape, tied embeddings, and its tokenizer.

    Built once a machine, and kept under `$BREAKWATER_VAR/bench`.
    """
    shape = SIZES[size]
    folder = VAR / f"docstrings-{size}"
    if not folder.is_dir():
        kinds = Size(
            vocabulary=VOCABULARY, hidden=shape.hidden, intermediate=shape.middle,
            layers=shape.layers, heads=shape.heads, kv_heads=shape.heads, context=CONTEXT,
            spread=shape.hidden**-0.5, epochs=1,
        )  # fmt: skip
        rows = ({"text": text} for text in dict.fromkeys(docstrings()) if len(text) >= LEAST)
        base_build(folder, lambda _: None, size=kinds, data=rows)
    return folder


def examples(base: Path, *, train: int, held_out: int) -> tuple[list[Example], list[Example]]:
    """As many pieces to train on, and held out, in an order of their own that is always the same.

    Raises:
        ValueError: the text has not so many.
    """
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    kept: tuple[list[list[int]], list[list[int]]] = ([], [])
    for number, section in enumerate(sections()):
        text = "\n\n".join((section.title, *section.paragraphs)) + END
        kept[number % HELD_OUT_EVERY == 0].append(tokenizer.encode(text).ids)
    draws = np.random.default_rng(0)
    found = []
    for of_part, count in zip(kept, (train, held_out), strict=True):
        pieces = [piece for ids in of_part for piece in _pieces(ids, draws)]
        if len(pieces) < count:
            raise ValueError(f"{count} pieces asked for, the text has {len(pieces)}")
        order = draws.permutation(len(pieces))[:count]
        found.append([_example(line, pieces[at], draws) for line, at in enumerate(order, 1)])
    return found[0], found[1]


def _pieces(ids: list[int], draws: np.random.Generator) -> Iterator[list[int]]:
    """Stretches one after another; what is left at the end is dropped where it is too short."""
    start = 0
    while len(ids) - start >= SHORTEST:
        (length,) = lengths_draw(draws, 1)
        yield ids[start : start + length]
        start += length


def _example(line: int, ids: list[int], draws: np.random.Generator) -> Example:
    prompt = round(len(ids) * draws.uniform(*PROMPT))
    return Example(line, ids, [0] * prompt + [1] * (len(ids) - prompt))
